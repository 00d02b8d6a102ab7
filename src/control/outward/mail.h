/* Mail by SMTP (RFC 5321) through the server that control.conf names: smtps://, or smtp:// with STARTTLS, which must
 * work (certificates are always verified); in clear only to this machine itself. */
#pragma once

#include "control/config.h"

#define MAIL_TEXT_MAX KIB(16)
#define MAIL_TIMEOUT_MS 20000

struct mail {
    const char *to;      /* one address, without display name */
    const char *subject; /* any UTF-8 without line ends */
    const char *text;    /* UTF-8, lines end with \n */
    int64_t now_ms;      /* for the Date header */
};

/* -ENOENT: no server is configured. -EINVAL: address or subject cannot go into a header. Otherwise the server took the
 * mail, or the sentence says which step failed; it never has the password. */
OH_MUST_CHECK int mail_send(const struct control_config *c, const struct mail *m, struct err *err);

/* The message as it is sent, with \r\n; pure, heap. `id`: unique part of the Message-ID. */
OH_MUST_CHECK int mail_compose(const char *from, const struct mail *m, const char *id, char **ret, struct err *err);
