{{- /* Both conform to the restricted profile of the Pod Security Standards. */ -}}
{{- define "exporter.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "exporter.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- /* The pod of both the Deployment and the StatefulSet. */ -}}
{{- define "exporter.pod" -}}
metadata:
  labels:
    {{- include "exporter.labels" . | nindent 4 }}
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    # A change of the configuration replaces the pod.
    checksum/config: {{ toYaml .Values.config | sha256sum }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "exporter.serviceAccount" . }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  securityContext:
    {{- include "exporter.podSecurity" . | nindent 4 }}
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: exporter
      image: {{ include "exporter.image" . }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args:
        - serve
        - --config=/etc/matrix-federation-exporter/config.yaml
        - --web.listen-address={{ .Values.listen }}:10448
        {{- if gt (int .Values.shards) 1 }}
        - --shard.index=$(SHARD_INDEX)
        - --shard.count={{ int .Values.shards }}
        {{- end }}
        {{- with .Values.extraArgs }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      ports:
        - name: metrics
          containerPort: 10448
        {{- if .Values.outbound.enabled }}
        - name: outbound
          containerPort: 8448
        {{- end }}
      {{- if or (gt (int .Values.shards) 1) .Values.extraEnv }}
      env:
        {{- if gt (int .Values.shards) 1 }}
        - name: SHARD_INDEX
          valueFrom:
            fieldRef:
              fieldPath: metadata.labels['apps.kubernetes.io/pod-index']
        {{- end }}
        {{- with .Values.extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- end }}
      readinessProbe:
        httpGet:
          path: /-/ready
          port: metrics
          scheme: {{ upper .Values.scheme }}
      livenessProbe:
        httpGet:
          path: /-/healthy
          port: metrics
          scheme: {{ upper .Values.scheme }}
        timeoutSeconds: 5
      securityContext:
        {{- include "exporter.containerSecurity" . | nindent 8 }}
      resources:
        {{- toYaml .Values.resources | nindent 8 }}
      volumeMounts:
        - name: config
          mountPath: /etc/matrix-federation-exporter
          readOnly: true
        {{- if .Values.persistence.enabled }}
        - name: history
          mountPath: /data
        {{- end }}
        {{- if .Values.outbound.enabled }}
        - name: outbound
          mountPath: /secrets/outbound
          readOnly: true
        {{- end }}
        {{- with .Values.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    - name: config
      configMap:
        name: {{ include "exporter.fullname" . }}
    {{- if and .Values.persistence.enabled (eq (int .Values.shards) 1) }}
    - name: history
      persistentVolumeClaim:
        claimName: {{ include "exporter.fullname" . }}
    {{- end }}
    {{- if .Values.outbound.enabled }}
    # Kubernetes lets the group of the exporter read these files, which belong to root.
    - name: outbound
      projected:
        defaultMode: 0440
        sources:
          - secret:
              name: {{ .Values.outbound.signingKeySecret }}
              items:
                - key: signing.key
                  path: signing.key
          {{- with .Values.outbound.tlsSecret }}
          - secret:
              name: {{ . }}
              items:
                - key: tls.crt
                  path: tls.crt
                - key: tls.key
                  path: tls.key
          {{- end }}
    {{- end }}
    {{- with .Values.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- range $key := list "hostAliases" "nodeSelector" "tolerations" "affinity" "topologySpreadConstraints" "priorityClassName" }}
  {{- with get $.Values $key }}
  {{ $key }}:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- end }}
{{- end }}
