{{/* The router's configuration. crates/launcher/src/haproxy.rs writes the same rules for one machine. */}}
{{- define "ganglion.haproxy" -}}
{{- $v := .Values -}}
{{- $service := printf "%s-client-reader.%s.svc.%s" (include "ganglion.fullname" .) .Release.Namespace .Values.clusterDomain -}}
global
  log stdout format raw local0
  maxconn 20000
  hard-stop-after 150s

resolvers cluster
  parse-resolv-conf
  accepted_payload_size 8192
  hold obsolete 10s
  hold valid 2s
  timeout retry 1s

defaults
  mode http
  option dontlognull
  option redispatch
  retries 2
  retry-on conn-failure empty-response
  timeout connect 2s
  timeout http-request 10s
  timeout http-keep-alive 60s
  timeout queue 5s
  # Longer than the longest /sync.
  timeout client 150s
  timeout server 150s
  hash-type consistent sdbm avalanche
  {{- range $error := list
    (dict "status" 400 "errcode" "M_UNRECOGNIZED" "text" "the request is not HTTP")
    (dict "status" 408 "errcode" "M_UNKNOWN" "text" "the request came too slowly")
    (dict "status" 500 "errcode" "M_UNKNOWN" "text" "internal server error")
    (dict "status" 502 "errcode" "M_UNKNOWN" "text" "no answer from the server")
    (dict "status" 503 "errcode" "M_UNKNOWN" "text" "no server is ready, try again")
    (dict "status" 504 "errcode" "M_UNKNOWN" "text" "no answer in time, try again") }}
  http-error status {{ $error.status }} content-type application/json string '{"errcode":"{{ $error.errcode }}","error":"{{ $error.text }}"}' hdr Access-Control-Allow-Origin "*" hdr Access-Control-Allow-Methods "GET, POST, PUT, DELETE, OPTIONS" hdr Access-Control-Allow-Headers "X-Requested-With, Content-Type, Authorization" hdr Cache-Control no-store
  {{- end }}

frontend matrix
  log global
  # Path without query: tokens never reach the log.
  log-format "%ci %ST %TR/%Tw/%Tc/%Tr/%Ta %HM %HPO %b/%s %ts %U %B"
  {{- if $v.router.tls.existingSecret }}
  bind :8008 ssl crt /run/tls/tls.crt alpn h2,http/1.1 ssl-min-ver TLSv1.2
  {{- else }}
  bind :8008
  {{- end }}
  {{- if $v.router.trustedProxies }}
  acl from_proxy src {{ join " " $v.router.trustedProxies }}
  http-request del-header X-Forwarded-For unless from_proxy
  http-request del-header X-Forwarded-Proto unless from_proxy
  option forwardfor if-none
  {{- else }}
  http-request del-header X-Forwarded-For
  http-request del-header X-Forwarded-Proto
  option forwardfor
  {{- end }}
  http-request del-header Forwarded
  http-request set-header X-Request-Id %[uuid()] unless { req.hdr(X-Request-Id) -m len 1:64 }
  # All devices of a user on one client-reader, by the hint in our own tokens; a foreign token is
  # its own key. Any instance serves any request: this only keeps caches warm.
  http-request set-var(txn.key) req.fhdr(authorization),'regsub("^Bearer +(gst_[0-9a-f]{8})_.*$","\1",i)'
  http-request set-var(txn.key) url_param(access_token),'regsub("^(gst_[0-9a-f]{8})_.*$","\1")' unless { var(txn.key) -m found }
  # Sent again to another instance only what may be done twice: reads, and writes that carry a
  # transaction id.
  acl has_txn path_reg ^/_matrix/client/[^/]+/(rooms/[^/]+/(send|redact)|sendToDevice)/[^/]+/[^/]+$
  http-request disable-l7-retry unless METH_GET or { method PUT } has_txn
  default_backend client-reader

backend client-reader
  balance hash var(txn.key)
  hash-balance-factor 150
  option httpchk
  http-check send meth GET uri /ready
  http-check expect status 200
  # 404 means draining: no new requests, those in work are finished.
  http-check disable-on-404
.if version_atleast(3.0)
  default-server check port {{ $v.ports.admin }} inter 1s fall 2 rise 1 hash-key addr-port
.else
  default-server check port {{ $v.ports.admin }} inter 1s fall 2 rise 1
.endif
  server-template client-reader- {{ $v.router.slots }} _http._tcp.{{ $service }} resolvers cluster resolve-prefer ipv4 init-addr none

frontend metrics
  bind :8405
  http-request use-service prometheus-exporter if { path /metrics }
  http-request return status 200 content-type text/plain string ok if { path /live }
  # Ready while at least one client-reader can be reached.
  http-request return status 503 if { nbsrv(client-reader) eq 0 }
  http-request return status 200 content-type text/plain string ok
{{ end -}}
