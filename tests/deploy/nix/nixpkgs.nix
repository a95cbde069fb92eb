# A stand-in for the parts of Nixpkgs that deploy/nix uses: what it builds is the arguments.
let
  option = arguments: { option = arguments; };
  lib = {
    importTOML = file: builtins.fromTOML (builtins.readFile file);
    fileset = {
      toSource = arguments: arguments;
      unions = files: map toString files;
    };
    genAttrs = names: f: builtins.listToAttrs (map (name: { inherit name; value = f name; }) names);
    concatStringsSep = builtins.concatStringsSep;
    literalExpression = text: text;
    mkOption = option;
    mkEnableOption = text: option { description = text; default = false; };
    mkIf = condition: content: if condition then content else { };
    licenses.asl20 = "Apache-2.0";
    platforms.linux = [ "x86_64-linux" "aarch64-linux" ];
    types = {
      package = "package";
      str = "string";
      listOf = type: "list of ${type}";
    };
  };
  # Every name is a package: tests compare the names with those of pyproject.toml.
  requirements = (lib.importTOML ../../../pyproject.toml).project.dependencies;
  names = map (text: builtins.head (builtins.match "([a-z0-9-]+).*" text)) requirements;
  python3Packages = lib.genAttrs (names ++ [ "hatchling" ]) (name: name) // {
    buildPythonApplication = arguments: arguments;
  };
  pkgs = {
    inherit lib python3Packages;
    installShellFiles = "installShellFiles";
    util-linux = "/util-linux";
    formats.yaml = _: {
      type = "yaml";
      generate = name: content: { inherit name content; };
    };
    callPackage = file: _: import file {
      inherit lib python3Packages;
      inherit (pkgs) installShellFiles util-linux;
    };
  };
in
{
  inherit lib pkgs;
  legacyPackages = lib.genAttrs [ "x86_64-linux" "aarch64-linux" ] (_: pkgs);
}
