{{- define "loadflow.name" -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* Labels by which one release's pods are found: (list . "agent") */}}
{{- define "loadflow.selector" -}}
app.kubernetes.io/name: loadflow
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{- define "loadflow.labels" -}}
{{ include "loadflow.selector" . }}
app.kubernetes.io/version: {{ (index . 0).Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ (index . 0).Release.Service }}
helm.sh/chart: {{ printf "%s-%s" (index . 0).Chart.Name (index . 0).Chart.Version }}
{{- end -}}

{{- define "loadflow.image" -}}
{{- $image := index . 1 -}}
{{- printf "%s:%s" $image.image (default (index . 0).Chart.AppVersion $image.tag) -}}
{{- end -}}

{{- define "loadflow.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}{{ default (include "loadflow.name" .) .Values.serviceAccount.name }}{{- else -}}{{ default "default" .Values.serviceAccount.name }}{{- end -}}
{{- end -}}

{{/* What every pod has: no root, no rights, no token of the API server. */}}
{{- define "loadflow.pod" -}}
serviceAccountName: {{ include "loadflow.serviceAccount" . }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "loadflow.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ . }}
runAsGroup: {{ . }}
fsGroup: {{ . }}
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "loadflow.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* "true" where Grafana is installed */}}
{{- define "loadflow.grafana" -}}
{{- if and .Values.monitoring.enabled .Values.monitoring.grafana.enabled }}true{{ end -}}
{{- end -}}

{{- define "loadflow.natsSecret" -}}
{{- default (printf "%s-nats" (include "loadflow.name" .)) .Values.nats.auth.existingSecret -}}
{{- end -}}

{{- define "loadflow.coordinatorSecret" -}}
{{- default (printf "%s-coordinator" (include "loadflow.name" .)) .Values.coordinator.existingSecret -}}
{{- end -}}

{{/* The environment of who talks to NATS: (list . "agent") */}}
{{- define "loadflow.natsEnv" -}}
{{- $root := index . 0 -}}
{{- $role := index . 1 -}}
- name: NATS_PASSWORD
  valueFrom:
    secretKeyRef: {name: {{ include "loadflow.natsSecret" $root }}, key: {{ $role }}-password}
- name: LOADFLOW_NATS_URL
  value: {{ printf "%s://%s:$(NATS_PASSWORD)@%s-nats:%v" (ternary "tls" "nats" $root.Values.nats.tls.enabled) $role (include "loadflow.name" $root) $root.Values.nats.service.port | quote }}
{{- if $root.Values.nats.tls.enabled }}
- name: SSL_CERT_FILE
  value: /etc/nats-ca/ca.crt
{{- end }}
{{- end -}}

{{- define "loadflow.natsCaMount" -}}
{{- if .Values.nats.tls.enabled }}
- {name: nats-ca, mountPath: /etc/nats-ca, readOnly: true}
{{- end }}
{{- end -}}

{{- define "loadflow.natsCaVolume" -}}
{{- if .Values.nats.tls.enabled }}
- name: nats-ca
  secret:
    secretName: {{ required "nats.tls.existingSecret names the secret with tls.crt, tls.key and ca.crt" .Values.nats.tls.existingSecret }}
    items: [{key: ca.crt, path: ca.crt}]
{{- end }}
{{- end -}}

{{/* A value of a secret of this release that is there already, else a new one: (list . SECRET KEY) */}}
{{- define "loadflow.kept" -}}
{{- $root := index . 0 -}}
{{- $found := lookup "v1" "Secret" $root.Release.Namespace (index . 1) -}}
{{- $value := dig "data" (index . 2) "" (default dict $found) -}}
{{- if $value -}}{{ $value }}{{- else -}}{{ randAlphaNum 32 | b64enc }}{{- end -}}
{{- end -}}

{{/* A claim's template for a StatefulSet, or a folder that ends with the pod: (list NAME PERSISTENCE) */}}
{{- define "loadflow.claim" -}}
{{- $name := index . 0 -}}
{{- $persistence := index . 1 -}}
{{- if $persistence.enabled }}
volumeClaimTemplates:
  - metadata: {name: {{ $name }}}
    spec:
      accessModes: [ReadWriteOnce]
      {{- with $persistence.storageClass }}
      storageClassName: {{ . }}
      {{- end }}
      resources:
        requests: {storage: {{ $persistence.size }}}
{{- end }}
{{- end -}}
