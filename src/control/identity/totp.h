/* Time-based one-time codes, RFC 6238 with SHA-1, six digits and steps of 30 s, as every authenticator knows them. */
#pragma once

#include "base/err.h"

#define TOTP_SECRET_SIZE 20 /* bytes, the size of the hash (RFC 4226 section 4) */
#define TOTP_BASE32_SIZE 33 /* characters of a secret in base32, with NUL */
#define TOTP_STEP_MS 30000

/* Six digits and NUL of one time step. */
void totp_code(const unsigned char secret[TOTP_SECRET_SIZE], int64_t step, char ret[7]);
/* The step whose code this is, among the present one, the one before and the one after (clocks differ, people are
 * slow), but above `after`, so that a code counts once; 0 if there is none. Takes the same time wherever it is. */
int64_t totp_match(const unsigned char secret[TOTP_SECRET_SIZE], int64_t now_ms, int64_t after, const char *code);
/* Base32 without padding, RFC 4648 section 6. */
void totp_base32(const unsigned char secret[TOTP_SECRET_SIZE], char ret[TOTP_BASE32_SIZE]);
