/* Questions and answers between roles: one JSON object a SOCK_SEQPACKET message, matched by `id`.
 *
 * {"op":…,"id":n,…} is answered by {"id":n,…}, or by {"id":n,"error":text} when it is refused; a question without an id
 * wants no answer. Messages above the limit are refused on either side before they are parsed. */
#pragma once

#include "base/js.h"

struct ask_peer {
    const char *name;   /* in errors: "signer", "ledger" */
    size_t message_max; /* bytes of one message */
    int timeout_ms;
};

/* Sends the question with a random id and waits for its answer; answers to others' ids, asked on the same socket by a
 * process before us or given up, are skipped. `question` NULL stands for text that JSON cannot carry (-EINVAL); it
 * stays the caller's and gains the id. *ret: new reference. One caller at a time per descriptor.
 * -ENOTCONN: fd is none; -EMSGSIZE; -ETIMEDOUT: no answer in time (it may have been done all the same); -EACCES:
 * refused, with the other side's sentence. */
OH_MUST_CHECK int ask(const struct ask_peer *to, int fd, json_t *question, json_t **ret, struct err *err);

/* Sends without an id: not answered, never blocks. */
OH_MUST_CHECK int ask_tell(const struct ask_peer *to, int fd, const json_t *message, struct err *err);

/* The other side: takes one message from `fd`, has it decided (into `answer`, an empty object) and answers. Returns
 * decide()'s error after it was told to the asker, or why the message or the answer could not pass: the caller logs.
 * Nothing to take, and a closed socket, are 0. */
OH_MUST_CHECK int ask_serve(size_t message_max, int fd,
                            int (*decide)(void *user, const json_t *question, json_t *answer, struct err *err),
                            void *user, struct err *err);
