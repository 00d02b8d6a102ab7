/* HAProxy's file for the control plane's single TLS port. */
#include "control/front.h"

#include "base/buf.h"
#include "base/fs.h"
#include "base/mem.h"
#include "control/edge_certificate.h"

static const char error_form[] = "    http-error status %d content-type application/json lf-string "
                                 "'{\"status\":%d,\"error\":\"%s\",\"requestId\":\"%%[uuid()]\"}'\n";

static void errors(struct buf *out)
{
    static const struct {
        int status;
        const char *text;
    } all[] = {
        {400, "The request is not valid HTTP."},
        {408, "The request was not sent in time."},
        {429, "Too many requests from this address. Wait a minute and try again."},
        {500, "The control plane failed to answer."},
        {502, "The control plane answered with something that is not HTTP."},
        {503, "The control plane is starting or restarting. Try again in a few seconds."},
        {504, "The control plane did not answer in time."},
    };
    for (size_t i = 0; i < ARRAY_SIZE(all); i++)
        buf_printf(out, error_form, all[i].status, all[i].status, all[i].text);
}

static void global(struct buf *out)
{
    buf_adds(out, "global\n"
                  "    log stdout format raw local0 notice\n"
                  "    fd-hard-limit 40000\n" /* connections: half of it, or of what the system gives */
                  "    hard-stop-after 30s\n"
                  "    ssl-default-bind-options ssl-min-ver TLSv1.2 no-tls-tickets\n"
                  "    ssl-default-bind-ciphers ECDHE+AESGCM:ECDHE+CHACHA20\n"
                  "    tune.ssl.default-dh-param 2048\n"
                  "\n"
                  "defaults\n"
                  "    log global\n"
                  "    timeout connect 5s\n"
                  "    timeout client 65s\n"
                  "    timeout server 65s\n"
                  /* Longer than the 10 s after which a browser closes a connection that it opened ahead and did not
                   * use: where we close it first, the request that it is taken for at that moment fails. */
                  "    timeout http-request 20s\n"
                  "    timeout http-keep-alive 30s\n"
                  "    timeout tunnel 1h\n"
                  "    option dontlognull\n"
                  "\n");
}

static void door(const struct control_config *c, struct buf *out)
{
    bool v6 = strchr(c->listen_address, ':') != NULL;
    buf_printf(out,
               "# Every connection: the link's ALPN passes through, the rest is terminated below.\n"
               "frontend door\n"
               "    mode tcp\n"
               "    bind %s%s:%lld\n"
               "    bind unix@%s/run/front.sock mode 600 accept-proxy\n"
               "    tcp-request inspect-delay 20s\n"
               "    tcp-request content accept if { req.ssl_hello_type 1 }\n"
               "    tcp-request content reject\n"
               "    use_backend link if { req.ssl_alpn ownhouse-link/1 } || { req.ssl_alpn ownhouse-enrol/1 } || "
               "{ req.ssl_alpn ownhouse-access/1 }\n"
               "    default_backend terminate\n"
               "\n"
               "backend link\n"
               "    mode tcp\n"
               "    timeout server 90s\n"
               "    timeout tunnel 90s\n"
               "    server link unix@%s/run/link.sock send-proxy-v2\n"
               "\n"
               "backend terminate\n"
               "    mode tcp\n"
               "    server https unix@%s/run/https.sock send-proxy-v2\n"
               "\n",
               v6 ? "ipv6@" : "", c->listen_address, (long long)c->listen_port, c->state_dir, c->state_dir,
               c->state_dir);
}

static void https(const struct control_config *c, struct buf *out)
{
    buf_printf(out,
               "frontend https\n"
               "    mode http\n"
               "    bind unix@%s/run/https.sock mode 600 accept-proxy ssl crt %s/keys/edge.pem alpn h2,http/1.1\n"
               "    stick-table type ipv6 size 100k expire 60s store http_req_rate(10s),conn_cur\n"
               /* After the PROXY header: before it there is no address to count. */
               "    tcp-request session track-sc0 src,ipmask(32,64)\n"
               "    tcp-request session reject if { sc0_conn_cur gt 2000 }\n"
               "    http-request deny deny_status 429 if { sc0_http_req_rate gt 50000 }\n"
               /* A body arrives here, in time, before a place behind is taken for it. */
               "    option http-buffer-request\n"
               /* Failed attempts to sign in; who succeeds may do so as often as they like. */
               "    acl signs_in path_beg /v1/session /v1/setUp /v1/invitation /v1/profile\n"
               "    http-request track-sc1 src,ipmask(32,64) table sign_in if signs_in METH_POST\n"
               "    http-request deny deny_status 429 if signs_in METH_POST { sc1_http_err_rate(sign_in) gt 120 }\n"
               /* libmicrohttpd 0.9.75 sends its own refusal of a request without Host twice over. */
               "    http-request deny deny_status 400 if !HTTP_1.0 !{ req.hdr(host) -m found }\n"
               "    http-request del-header X-Forwarded-For\n"
               "    http-request del-header Forwarded\n"
               "    http-request set-header X-Forwarded-For %%[src]\n"
               "    http-response set-header Strict-Transport-Security max-age=31536000\n"
               "    http-response set-header X-Content-Type-Options nosniff\n"
               "    http-response set-header Cache-Control no-store if !{ res.hdr(Cache-Control) -m found }\n"
               "    compression algo gzip\n"
               "    compression type application/json text/html text/css text/javascript image/svg+xml\n",
               c->state_dir, c->state_dir);
    errors(out);
    buf_printf(out,
               /* Streams of events stay open for minutes: they must not take the places of answers that end. */
               "    use_backend events if { path_beg /v1/organizations/ } { path_end /events }\n"
               "    default_backend api\n"
               "\n"
               "backend sign_in\n"
               "    stick-table type ipv6 size 100k expire 120s store http_err_rate(60s)\n"
               "\n"
               "backend events\n"
               "    mode http\n"
               "    http-reuse never\n"
               "    retries 3\n"
               "    option redispatch\n"
               "    server api unix@%s/run/api.sock maxconn 512\n"
               "\n"
               "backend api\n"
               "    mode http\n"
               "    http-reuse safe\n"
               "    retry-on conn-failure empty-response\n"
               "    retries 3\n"
               "    option redispatch\n"
               "    http-request disable-l7-retry if ! METH_GET\n"
               /* Each place costs the api role 64 KiB; the rest wait here. More than sixteen threads and what may be
                * queued for signing in (64 and 64) can hold. */
               "    server api unix@%s/run/api.sock maxconn 160\n",
               c->state_dir, c->state_dir);
}

char *front_config(const struct control_config *c)
{
    struct buf out = BUF_INIT;
    buf_adds(&out, "# Written by ownhouse-control at each start; changes here are lost.\n");
    global(&out);
    door(c, &out);
    https(c, &out);
    return buf_take(&out);
}

int front_prepare(const struct control_config *c, const struct clock *clock, struct err *err)
{
    autofree char *text = front_config(c), *path = control_path(c, "run/haproxy.cfg"), *old = NULL;
    int changed = edge_certificate_prepare(c, clock, err);
    if (changed < 0)
        return changed;
    if (fs_read(path, MIB(1), &old, NULL, NULL) == 0 && !strcmp(old, text))
        return changed;
    int r = fs_write_atomic(path, text, strlen(text), 0600, err);
    return r < 0 ? r : 1;
}
