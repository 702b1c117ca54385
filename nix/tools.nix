# What developing takes: the runtime's own Python with the tools of pyproject.toml's extra `dev`.
{ pkgs, python }:
rec {
  environment = python.withPackages (
    packages: with packages; [
      aiosmtpd
      anyio
      click
      h11
      hatchling
      highspy
      hiredis
      httptools
      httpx
      hypothesis
      # Plots are written to files: no toolkit of windows.
      (matplotlib.override { enableTk = false; })
      msgspec
      mypy
      numpy
      opentelemetry-exporter-otlp-proto-http
      opentelemetry-sdk
      prometheus-client
      psutil
      pytest
      pytest-benchmark
      pytest-cov
      pytest-timeout
      pytest-xdist
      python-dotenv
      pyyaml
      redis
      rich
      ruff
      scipy
      structlog
      supervisor
      tornado
      types-psutil
      types-pyyaml
      uv
      uvloop
    ]
  );
  # The rewrite without a Haskell compiler in its closure, where nixpkgs has it: the same form.
  nixfmt = pkgs.nixfmt-rs or pkgs.nixfmt;
  forNix = [
    nixfmt
    pkgs.deadnix
    pkgs.statix
  ];
}
