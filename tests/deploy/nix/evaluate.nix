# Everything that deploy/nix defines, as far as JSON can say it. `settings` and `extraArgs` are those of the module.
{ settings, extraArgs }:
let
  nixpkgs = import ./nixpkgs.nix;
  flake = import ../../../deploy/nix/flake.nix;
  outputs = flake.outputs {
    self = outputs;
    inherit nixpkgs;
  };
  module = import outputs.nixosModules.default {
    inherit (nixpkgs) lib pkgs;
    config.services.matrix-federation-exporter = {
      enable = true;
      package = "/package";
      inherit settings extraArgs;
    };
  };
in
{
  inherit (flake) description inputs;
  package = outputs.packages.x86_64-linux.default;
  systems = builtins.attrNames outputs.packages;
  options = builtins.attrNames module.options.services.matrix-federation-exporter;
  inherit (module) config;
}
