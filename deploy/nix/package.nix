# The version and the dependencies are those of pyproject.toml.
{
  lib,
  python3Packages,
  installShellFiles,
  util-linux,
}:
let
  inherit (lib.importTOML ../../pyproject.toml) project;
  nameOf = requirement: builtins.head (builtins.match "([a-z0-9-]+).*" requirement);
in
python3Packages.buildPythonApplication {
  pname = project.name;
  inherit (project) version;
  pyproject = true;
  src = lib.fileset.toSource {
    root = ../..;
    fileset = lib.fileset.unions [
      ../../LICENSE
      ../../README.md
      ../../exporter
      ../../pyproject.toml
      ../completions
      ../man
      ../systemd
    ];
  };

  build-system = [ python3Packages.hatchling ];
  dependencies = map (requirement: python3Packages.${nameOf requirement}) project.dependencies;
  nativeBuildInputs = [ installShellFiles ];

  # The unit is the one of every other distribution, with its hardening; only the paths of programs differ.
  postInstall = ''
    installManPage deploy/man/matrix-federation-exporter.1
    installShellCompletion --cmd matrix-federation-exporter \
      --bash deploy/completions/bash/matrix-federation-exporter \
      --fish deploy/completions/fish/matrix-federation-exporter.fish \
      --zsh deploy/completions/zsh/_matrix-federation-exporter
    install -D -m 644 -t $out/lib/systemd/system deploy/systemd/matrix-federation-exporter.service
    substituteInPlace $out/lib/systemd/system/matrix-federation-exporter.service \
      --replace-fail /opt/matrix-federation-exporter/bin $out/bin \
      --replace-fail /bin/kill ${util-linux}/bin/kill
  '';
  pythonImportsCheck = [ "exporter.app" ];

  meta = {
    inherit (project) description;
    homepage = project.urls.Homepage;
    license = lib.licenses.asl20;
    mainProgram = project.name;
    platforms = lib.platforms.linux;
  };
}
