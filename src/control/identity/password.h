/* Passwords: people's are kept as argon2id (libsodium's string form), services' as the hashes ClickHouse knows. */
#pragma once

#include "base/err.h"

#define PASSWORD_HASH_SIZE 128 /* with NUL */
#define PASSWORD_GENERATED_SIZE 25
#define PASSWORD_MAX 1024 /* bytes; longer ones are refused before any work is done */

/* Argon2id with 64 MiB and three passes: about a tenth of a second. -EINVAL: empty or too long. */
OH_MUST_CHECK int password_hash(const char *password, char ret[PASSWORD_HASH_SIZE], struct err *err);
/* Takes as long for an unknown user: pass NULL as `hash`. */
OH_MUST_CHECK bool password_matches(const char *hash, const char *password);

/* 24 characters, 142 bits: letters, digits, and at least one of each class that password rules ask for. */
void password_generate(char ret[PASSWORD_GENERATED_SIZE]);

/* `len` characters of [0-9A-Za-z] and NUL, each uniform (5.95 bits). */
void token_generate(char *ret, size_t len);

/* What ClickHouse checks against: SHA-256 in 64 hex digits, and SHA-1 of SHA-1 (MySQL protocol) in 40. */
void password_clickhouse(const char *password, char ret_sha256[65], char ret_double_sha1[41]);
