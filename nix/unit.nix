# windlass.service as attributes: what NixOS says of the unit is what other servers get as a file.
{ lib }:
let
  inherit (lib)
    elemAt
    filter
    foldl'
    hasPrefix
    splitString
    ;
  isEntry = line: line != "" && !hasPrefix "#" line;
  lines = filter isEntry (splitString "\n" (builtins.readFile ./windlass.service));
  # A name that comes more than once has a list of values, as in systemd.
  add =
    found: line:
    let
      title = builtins.match "\\[(.*)]" line;
      pair = builtins.match "([^=]+)=(.*)" line;
      name = elemAt pair 0;
      value = elemAt pair 1;
      section = found.sections.${found.current} or { };
      values = (section.${name} or [ ]) ++ [ value ];
    in
    if title != null then
      found // { current = elemAt title 0; }
    else
      found
      // {
        sections = found.sections // {
          ${found.current} = section // {
            ${name} = values;
          };
        };
      };
  single = values: if builtins.length values == 1 then builtins.head values else values;
  read = foldl' add {
    current = "";
    sections = { };
  } lines;
in
lib.mapAttrs (_: lib.mapAttrs (_: single)) read.sections
