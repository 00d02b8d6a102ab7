/* Streaming gzip (also zlib's deflate) and zstd, for Content-Encoding of requests and responses.
 *
 * Memory is bounded by the codec's window (zstd frames that ask for more than 128 MiB are refused); output is handed
 * on in pieces, never collected here. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

enum codec_kind { CODEC_NONE, CODEC_GZIP, CODEC_DEFLATE, CODEC_ZSTD };

/* "gzip", "deflate", "zstd", "identity" or "" (any case); -EINVAL for anything else. */
OH_MUST_CHECK int codec_parse(const char *name, enum codec_kind *ret);
/* The best of what an Accept-Encoding header allows (q=0 forbids), CODEC_NONE if there is none. zstd before gzip. */
enum codec_kind codec_accepted(const char *accept_encoding);
const char *codec_name(enum codec_kind kind); /* as in Content-Encoding; NULL for CODEC_NONE */

struct decoder; /* opaque */
struct decoder *decoder_new(enum codec_kind kind);
void decoder_free(struct decoder *d); /* NULL is fine */

/* Called with each piece of output; a negative return stops decoding and is returned. */
typedef int codec_sink(void *user, const void *data, size_t len);

/* -EBADMSG: not valid data of this kind. Concatenated members and frames are one stream. */
OH_MUST_CHECK int decoder_feed(struct decoder *d, const void *data, size_t len, codec_sink *sink, void *user,
                               struct err *err);
/* At the end of input: -EBADMSG if the stream was cut short. */
OH_MUST_CHECK int decoder_finish(struct decoder *d, struct err *err);

struct encoder;                                               /* opaque */
struct encoder *encoder_new(enum codec_kind kind, int level); /* level 0: the codec's default */
void encoder_free(struct encoder *e);                         /* NULL is fine */
/* Appends what the codec gives out; `last` ends the stream, `flush` makes all input so far decodable. */
void encoder_feed(struct encoder *e, const void *data, size_t len, bool flush, bool last, struct buf *out);
