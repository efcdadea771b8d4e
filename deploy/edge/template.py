"""The text of an edge's nginx configuration; :mod:`deploy.edge.nginx` says what it is for.

Places to fill are written ``@so@``: nginx uses the dollar sign itself.  Nothing but checked names,
numbers, addresses, and paths is filled in.  nginx 1.19.5 or newer.
"""

from __future__ import annotations

import re
from typing import Final

PLACE = re.compile(r"@([a-z_]+)@")


def fill(template: str, **values: object) -> str:
    """Put a value in every place of a template; each must have one."""
    return PLACE.sub(lambda place: str(values[place[1]]), template)


COMMON: Final = r"""# The edge of @vendor@: written by deploy/edge/nginx.py, changes are lost.
daemon off;
worker_processes 1;
worker_shutdown_timeout 120s;  # a reload lets running uploads finish, then closes
pid "@prefix@/nginx.pid";
error_log "@prefix@/logs/error.log" notice;
events { worker_connections 1024; }

http {
  # Nothing outside the prefix: an unprivileged user, many sites on a machine.
  client_body_temp_path "@prefix@/tmp/body";
  proxy_temp_path       "@prefix@/tmp/proxy";
  fastcgi_temp_path     "@prefix@/tmp/fastcgi";
  uwsgi_temp_path       "@prefix@/tmp/uwsgi";
  scgi_temp_path        "@prefix@/tmp/scgi";
  server_tokens off;
  default_type application/octet-stream;

  # Expressions throughout, as a map compares plain strings without regard to case.
  # The certificate's subject -> member; that the consortium has signed it is not enough.
  map $ssl_client_s_dn $cert_owner {
    default "";
@cert_map@
  }
  # The node key that Flower's header names -> the member for whom it is registered here.
  map $http_flwr_public_key $key_owner {
    default "-";
@key_map@
  }
  map "$cert_owner:$key_owner" $bound {
    default 0;
@bound_map@
  }
  # The path as it came, unnormalised and with its query -> a call of Flower's Fleet API.
  map $request_uri $fleet_call {
    default "";
@call_map@
  }

  # Polls that find nothing to do would drown the log: they are left out when they succeed.
  map $fleet_call $quiet { default 0; pull-messages 1; send-node-heartbeat 1; }
  map $status $good { default 0; "~^2" 1; }
  map "$quiet$good" $logged { default 1; 11 0; }
  log_format inbound escape=json '{"t":"$time_iso8601","dir":"in","from":"$remote_addr",'
    '"cert":"$ssl_client_s_dn","fp":"$ssl_client_fingerprint","key_owner":"$key_owner",'
    '"m":"$request_method","uri":"$request_uri","st":$status,"in":$request_length,'
    '"out":$bytes_sent,"rt":$request_time,"urt":"$upstream_response_time"}';
  log_format outbound escape=json '{"t":"$time_iso8601","dir":"out","to":"$server_name",'
    '"m":"$request_method","uri":"$request_uri","st":$status,"ust":"$upstream_status",'
    '"in":$request_length,"out":$bytes_sent,"rt":$request_time}';

  limit_req_zone  $cert_owner zone=requests:1m rate=@rate@r/s;
  limit_conn_zone $cert_owner zone=connections:1m;
  limit_req_status 503;
  limit_conn_status 503;

  # Bodies are streamed, never put on disk: they are model weights.
  proxy_http_version 1.1;
  proxy_request_buffering off;
  proxy_buffering off;
  proxy_max_temp_file_size 0;
  client_max_body_size @body_limit@;
  client_body_buffer_size 128k;
  # Another address of the same name is tried if one does not accept; nothing is sent twice.
  proxy_next_upstream error timeout;
  proxy_next_upstream_tries 3;
  proxy_next_upstream_timeout 15s;
  proxy_connect_timeout 5s;
  proxy_read_timeout 120s;
  proxy_send_timeout 120s;
  proxy_redirect off;
  client_header_timeout 10s;
  client_body_timeout 60s;
  send_timeout 60s;
  keepalive_timeout 75s;
  keepalive_requests 100000;
  tcp_nodelay on;
  ssl_protocols TLSv1.2 TLSv1.3;
  ssl_session_cache shared:tls:1m;
  ssl_session_timeout 1h;
  ssl_session_tickets off;
  proxy_ssl_protocols TLSv1.2 TLSv1.3;
  proxy_ssl_verify on;
  proxy_ssl_verify_depth 1;
  proxy_ssl_server_name on;
  proxy_ssl_session_reuse on;
@resolver@
@servers@
}
"""

UPSTREAM: Final = r"""
  upstream @name@ {
@addresses@
    keepalive 8;
    keepalive_timeout @seconds@s;
  }"""

INBOUND: Final = r"""
  server {
    listen @listen@ ssl;
    ssl_certificate     "@identity@/site.crt";
    ssl_certificate_key "@identity@/site.key";
    ssl_client_certificate "@identity@/consortium-ca.crt";
    ssl_verify_client on;
    ssl_verify_depth 1;
    access_log "@prefix@/logs/in.jsonl" inbound if=$logged;
    limit_req zone=requests burst=@burst@ nodelay;
    limit_conn connections @connections@;
    if ($cert_owner = "") { return 403; }
    location / {
      if ($fleet_call = "") { return 404; }
      if ($request_method != POST) { return 405; }
      if ($http_transfer_encoding) { return 411; }  # else it is refused halfway, not before
      if ($bound = 0) { return 403; }
      proxy_set_header Host localhost;
      proxy_set_header Connection "";
      proxy_set_header flwr-public-key $http_flwr_public_key;  # one: the one that was compared
      proxy_set_header Forwarded "";
      proxy_set_header X-Forwarded-For "";
      proxy_set_header X-Forwarded-Proto "";
      proxy_ssl_trusted_certificate "@identity@/loopback-ca.crt";
      proxy_ssl_name localhost;
      proxy_pass https://superlink/v1/fleet/$fleet_call;  # our words, nothing of the client's
    }
  }"""

OUTBOUND: Final = r"""
  server {
    listen 127.0.0.1:@port@ ssl;
    server_name @peer@;
    ssl_certificate     "@identity@/loopback.crt";
    ssl_certificate_key "@identity@/loopback.key";
    access_log "@prefix@/logs/out.jsonl" outbound if=$logged;
    location / {
      if ($fleet_call = "") { return 404; }
      if ($request_method != POST) { return 405; }
      if ($http_transfer_encoding) { return 411; }
      proxy_set_header Host @internal_name@;
      proxy_set_header Connection "";
      # A peer must not make this site's SuperNode unpack, remember, or go anywhere: it follows
      # redirects.
      proxy_set_header Accept-Encoding "";
      proxy_pass_header Date;                          # the launcher compares the clocks
      proxy_hide_header Content-Encoding;
      proxy_hide_header Set-Cookie;
      proxy_intercept_errors on;
      error_page 300 301 302 303 304 305 306 307 308 =502 @refused;
      proxy_ssl_certificate     "@identity@/site.crt";
      proxy_ssl_certificate_key "@identity@/site.key";
      proxy_ssl_trusted_certificate "@identity@/consortium-ca.crt";
      proxy_ssl_name @internal_name@;
      proxy_pass https://@target@/v1/fleet/$fleet_call;
    }
    location @refused { return 502; }
  }"""
