# Which source a release is made from: the commit, when it was made, and the locked nixpkgs. Only the
# outermost layers of what is built know it (release.nix, image.nix), so that a commit that leaves
# the code alone builds next to nothing.
{
  lib,
  self,
  nixpkgs,
}:
let
  digits = start: count: lib.substring start count self.lastModifiedDate;
in
{
  # A dirty tree is nobody's commit.
  commit = self.rev or "Development";
  time = "${digits 0 4}-${digits 4 2}-${digits 6 2}T${digits 8 2}:${digits 10 2}:${digits 12 2}Z";
  nixpkgs = {
    rev = nixpkgs.rev or "unlocked";
    inherit (nixpkgs.sourceInfo) narHash;
  };
}
