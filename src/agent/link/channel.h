/* One dialled connection with its operations stream: messages in, messages out. Private to src/agent/link.
 *
 * The channel dials the bundle's address (or its proxy), opens the stream when both ends are known, and reads frames.
 * It is freed after on_closed returns, which is called exactly once and last. */
#pragma once

#include "agent/link/link.h"
#include "net/link_conn.h"
#include "net/link_msg.h"

struct channel;

struct channel_ops {
    void (*on_ready)(struct channel *c, void *user); /* messages may be sent now */
    void (*on_message)(struct channel *c, const json_t *message, void *user);
    void (*on_drained)(struct channel *c, void *user); /* all that was sent has left; may be NULL */
    void (*on_closed)(struct channel *c, const struct err *reason, bool goodbye, void *user);
};

/* How to reach the control plane: the bundle's address, a forwarder, a proxy. */
struct channel_way {
    struct link_dial dial; /* points into this struct and the bundle */
    char proxy_host[BUNDLE_HOST_SIZE], forwarder_host[BUNDLE_HOST_SIZE];
    char *credentials;
};
/* Reads the proxy's credentials file. ret must not move afterwards. */
OH_MUST_CHECK int channel_way(const struct bundle *bundle, const struct agent_proxy *proxy, struct channel_way *ret,
                              struct err *err);
void channel_way_free(struct channel_way *w); /* wipes the credentials */

/* All pointers are borrowed for the channel's life but for the texts. reads: the proxy's credentials file. */
OH_MUST_CHECK int channel_dial(struct link_loop *loop, const struct bundle *bundle, const struct agent_proxy *proxy,
                               struct tls_ctx *tls, const struct channel_ops *ops, void *user, struct channel **ret,
                               struct err *err);
/* Takes over the reference. -EMSGSIZE: longer than max, nothing was sent. */
OH_MUST_CHECK int channel_send(struct channel *c, json_t *message, size_t max, struct err *err);
bool channel_busy(const struct channel *c);          /* something waits to be sent */
void channel_set_max(struct channel *c, size_t max); /* longest message taken from now on */
int64_t channel_rtt_ms(const struct channel *c);
/* why: what on_closed is told; NULL for an ordinary end. */
void channel_close(struct channel *c, const struct err *why);
/* Frees a channel whose loop was freed under it; on_closed is not called. */
void channel_abandon(struct channel *c);
