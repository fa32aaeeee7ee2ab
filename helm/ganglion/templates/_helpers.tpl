{{- define "ganglion.fullname" -}}
{{- if contains "ganglion" .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-ganglion" .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Labels that never change: selectors and pods. Takes (dict "root" $ "component" "client-reader"). */}}
{{- define "ganglion.selector" -}}
app.kubernetes.io/name: ganglion
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "ganglion.labels" -}}
{{ include "ganglion.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "ganglion.image" -}}
{{- if .digest -}}
{{- printf "%s@%s" .repository .digest -}}
{{- else -}}
{{- printf "%s:%s" .repository .tag -}}
{{- end -}}
{{- end -}}

{{- define "ganglion.serverImage" -}}
{{- $image := .Values.image -}}
{{- include "ganglion.image" (dict "repository" $image.repository "digest" $image.digest "tag" ($image.tag | default .Chart.AppVersion)) -}}
{{- end -}}

{{/* What a role is, which no value changes. */}}
{{- define "ganglion.roles" -}}
client-reader: {http: true, rpc: false, calls: true, signingKey: false}
event-persister: {http: false, rpc: true, calls: true, signingKey: true}
pusher: {http: false, rpc: false, calls: false, signingKey: false}
{{- end -}}

{{- define "ganglion.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: {{ . }}
runAsGroup: {{ . }}
fsGroup: {{ . }}
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "ganglion.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* Spread over zones and nodes, each generation of pods for itself. */}}
{{- define "ganglion.spread" -}}
{{- range $key := list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
- maxSkew: 1
  topologyKey: {{ $key }}
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      {{- include "ganglion.selector" $ | nindent 6 }}
  matchLabelKeys: [pod-template-hash]
{{- end }}
{{- end -}}

{{/* host=... of one PostgreSQL server for one user. */}}
{{- define "ganglion.postgres" -}}
host={{ .server.host }} port={{ .server.port | default 5432 | int64 }} dbname={{ .database }} user={{ .user }}
{{- end -}}

{{/* PostgreSQL addresses with the user of a role. Takes (dict "root" $ "user" "client-reader"). */}}
{{- define "ganglion.postgresEnv" -}}
{{- $postgres := .root.Values.postgres -}}
{{- $user := (get $postgres.users .user).name -}}
{{- $replicas := list -}}
{{- range $postgres.replicas -}}
{{- $replicas = append $replicas (include "ganglion.postgres" (dict "server" . "database" $postgres.database "user" $user)) -}}
{{- end -}}
- name: GANGLION__POSTGRES__PRIMARY
  value: {{ include "ganglion.postgres" (dict "server" $postgres.primary "database" $postgres.database "user" $user) | quote }}
- name: GANGLION__POSTGRES__REPLICAS
  value: {{ $replicas | toJson | quote }}
{{- end -}}

{{/* Keys of one TOML section. Whole numbers arrive as floats: they are written as integers. A map is a rate. */}}
{{- define "ganglion.toml" -}}
{{- range $key, $value := . }}
{{- if kindIs "string" $value }}
{{ $key }} = {{ $value | toJson }}
{{- else if kindIs "bool" $value }}
{{ $key }} = {{ $value }}
{{- else if kindIs "slice" $value }}
{{ $key }} = {{ $value | toJson }}
{{- else if kindIs "map" $value }}
{{ $key }} = { burst = {{ $value.burst | int64 }}, per_second = {{ $value.per_second | toJson }} }
{{- else }}
{{ $key }} = {{ $value | int64 }}
{{- end }}
{{- end }}
{{- end -}}

{{/* The configuration file of all roles. No replica count, pod name or list of peers is in it. */}}
{{- define "ganglion.config" -}}
{{- $v := .Values -}}
{{- $postgres := dict "primary" (printf "host=%s port=%d dbname=%s" $v.postgres.primary.host (int64 $v.postgres.primary.port) $v.postgres.database) "password_file" "/run/ganglion/postgres/password" -}}
{{- $redis := dict "endpoints" $v.redis.endpoints -}}
{{- if $v.redis.existingSecret -}}
{{- $_ := set $redis "password_file" "/run/ganglion/redis/password" -}}
{{- end -}}
{{- $rpc := dict "listen" (printf "0.0.0.0:%d" (int64 $v.ports.rpc)) "ca_file" "/run/ganglion/tls/ca.crt" "cert_file" "/run/ganglion/tls/tls.crt" "key_file" "/run/ganglion/tls/tls.key" -}}
{{- $http := dict "listen" (printf "0.0.0.0:%d" (int64 $v.ports.http)) -}}
[server]
{{- include "ganglion.toml" (dict "name" $v.serverName "public_url" $v.publicUrl) }}

[secrets]
{{- include "ganglion.toml" (dict "server_secret_file" "/run/ganglion/server-secret/secret") }}

[postgres]
{{- include "ganglion.toml" (merge $postgres $v.config.postgres) }}

[redis]
{{- include "ganglion.toml" (merge $redis $v.config.redis) }}

[rpc]
{{- include "ganglion.toml" (merge $rpc $v.config.rpc) }}

[http]
{{- include "ganglion.toml" (merge $http $v.config.http) }}

[admin]
{{- include "ganglion.toml" (dict "listen" (printf "0.0.0.0:%d" (int64 $v.ports.admin))) }}
{{- range $section := list "cluster" "limits" "rate_limits" "rooms" "presence" "accounts" "log" }}
{{- with get $v.config $section }}

[{{ $section }}]
{{- include "ganglion.toml" . }}
{{- end }}
{{- end }}
{{ end -}}

{{/* Seconds between SIGTERM and SIGKILL: more than the drain may take. */}}
{{- define "ganglion.grace" -}}
{{- add (div (int64 (.Values.config.cluster.drain_ms | default 25000)) 1000) 15 -}}
{{- end -}}

{{/* The secret with a role's certificate. Takes (dict "root" $ "role" "client-reader"). */}}
{{- define "ganglion.tlsSecret" -}}
{{- $tls := .root.Values.rpc.tls -}}
{{- if $tls.certManager.enabled -}}
{{- printf "%s-%s-rpc" (include "ganglion.fullname" .root) .role -}}
{{- else -}}
{{- get $tls.existingSecrets .role -}}
{{- end -}}
{{- end -}}

{{/* `to` or `from`, if there are peers. */}}
{{- define "ganglion.peers" -}}
{{- with .peers }}
{{ $.direction }}:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* What every process that reads the database may reach. */}}
{{- define "ganglion.dataEgress" -}}
- ports:
    - {port: 53, protocol: UDP}
    - {port: 53, protocol: TCP}
- ports:
    {{- $seen := dict }}
    {{- range append .Values.postgres.replicas .Values.postgres.primary }}
    {{- $port := .port | default 5432 | int64 | toString }}
    {{- if not (hasKey $seen $port) }}
    - {port: {{ $port }}}
    {{- end }}
    {{- $_ := set $seen $port true }}
    {{- end }}
  {{- include "ganglion.peers" (dict "direction" "to" "peers" .Values.networkPolicy.postgresTo) | nindent 2 }}
{{- end -}}
