{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.matrix-federation-exporter;
  format = pkgs.formats.yaml { };
  file = format.generate "matrix-federation-exporter.yaml" cfg.settings;
in
{
  options.services.matrix-federation-exporter = {
    enable = lib.mkEnableOption "the Prometheus exporter for the health of Matrix federation";

    package = lib.mkOption {
      type = lib.types.package;
      default = pkgs.callPackage ./package.nix { };
      defaultText = lib.literalExpression "pkgs.callPackage ./package.nix { }";
      description = "The package of the exporter.";
    };

    settings = lib.mkOption {
      inherit (format) type;
      example = {
        servers = [ "example.org" ];
        storage.path = "/var/lib/matrix-federation-exporter/history.sqlite";
      };
      description = ''
        The configuration, with the keys of `config.example.yaml`. Everybody can read it: let it name files for secrets.
      '';
    };

    extraArgs = lib.mkOption {
      type = lib.types.listOf lib.types.str;
      default = [ ];
      example = [ "--log.format=json" ];
      description = "Additional options of `serve`, without spaces.";
    };
  };

  config = lib.mkIf cfg.enable {
    environment.systemPackages = [ cfg.package ];
    environment.etc."matrix-federation-exporter/config.yaml".source = file;
    environment.etc."default/matrix-federation-exporter".text = ''
      ARGUMENTS="${lib.concatStringsSep " " cfg.extraArgs}"
    '';
    # The package contains the unit. A change of the settings reloads the exporter.
    systemd.packages = [ cfg.package ];
    systemd.services.matrix-federation-exporter = {
      wantedBy = [ "multi-user.target" ];
      reloadTriggers = [ file ];
      restartTriggers = cfg.extraArgs;
    };
  };
}
