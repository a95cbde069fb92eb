{{- define "exporter.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 52 | trimSuffix "-" -}}
{{- end }}

{{- /* At most 52 characters, because the names of dashboards, pods and revisions add a suffix to this name. */ -}}
{{- define "exporter.fullname" -}}
{{- $name := include "exporter.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{- define "exporter.selector" -}}
app.kubernetes.io/name: {{ include "exporter.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "exporter.labels" -}}
{{ include "exporter.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- /* The labels of the pod of `helm test`: not those of the exporter, which the service selects. */ -}}
{{- define "exporter.testSelector" -}}
app.kubernetes.io/name: {{ include "exporter.name" . }}-test
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "exporter.serviceAccount" -}}
{{- default (ternary (include "exporter.fullname" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name -}}
{{- end }}

{{- define "exporter.image" -}}
{{ printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) | quote }}
{{- end }}

{{- /* The parts of the configuration that name what this chart provides, unless the values name it themselves. */ -}}
{{- define "exporter.provided" -}}
{{- if .Values.persistence.enabled }}
storage:
  path: /data/history.sqlite
{{- end }}
{{- if .Values.outbound.enabled }}
outbound:
  listen: [{{ printf "%s:8448" .Values.listen | quote }}]
  signing_key_file: /secrets/outbound/signing.key
  {{- if .Values.outbound.tlsSecret }}
  tls:
    cert_file: /secrets/outbound/tls.crt
    key_file: /secrets/outbound/tls.key
  {{- end }}
{{- end }}
{{- end }}

{{- /* What is claimed for the history. */ -}}
{{- define "exporter.claim" -}}
accessModes: [ReadWriteOnce]
{{- with .Values.persistence.storageClass }}
storageClassName: {{ . }}
{{- end }}
resources:
  requests:
    storage: {{ .Values.persistence.size }}
{{- end }}
