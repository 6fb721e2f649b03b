#include "proxy/net/tls_tickets.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define LOCK_TRIES 1000

/* A rotation by one process must not be seen half done by another one. */
struct shared_keys {
	atomic_flag is_busy;
	struct tls_ticket_keys keys;
};

static struct shared_keys process_keys = {.is_busy = ATOMIC_FLAG_INIT};
static struct shared_keys *keys = &process_keys;

static bool is_younger(const struct tls_ticket_key *key, uint64_t now_s, uint64_t age_s)
{
	return key->is_set && now_s < key->made_s + age_s;
}

const struct tls_ticket_key *tls_ticket_keys_newest(struct tls_ticket_keys *self, uint64_t now_s)
{
	struct tls_ticket_key *key = &self->keys[self->newest];

	if (is_younger(key, now_s, TLS_TICKET_ROTATE_S))
		return key;
	self->newest = (self->newest + 1) % TLS_TICKET_N_KEYS;
	key = &self->keys[self->newest];
	key->is_set = RAND_bytes(key->name, sizeof(key->name)) == 1 &&
		RAND_priv_bytes(key->cipher, sizeof(key->cipher)) == 1 &&
		RAND_priv_bytes(key->mac, sizeof(key->mac)) == 1;
	key->made_s = now_s;
	return key->is_set ? key : NULL;
}

const struct tls_ticket_key *tls_ticket_keys_find(
	struct tls_ticket_keys *self, const unsigned char name[16], uint64_t now_s)
{
	struct tls_ticket_key *found = NULL;

	for (unsigned i = 0; i < TLS_TICKET_N_KEYS; i++) {
		struct tls_ticket_key *key = &self->keys[i];

		/* What no longer opens anything need not be there to be stolen. */
		if (!is_younger(key, now_s, TLS_TICKET_KEEP_S))
			OPENSSL_cleanse(key, sizeof(*key));
		else if (memcmp(key->name, name, sizeof(key->name)) == 0)
			found = key;
	}
	return found;
}

static uint64_t now(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_BOOTTIME, &ts);
	return (uint64_t)ts.tv_sec;
}

static bool set_mac_key(EVP_MAC_CTX *mac, const struct tls_ticket_key *key)
{
	OSSL_PARAM params[3];
	char digest[] = "SHA256";
	unsigned char secret[sizeof(key->mac)];
	bool is_set;

	memcpy(secret, key->mac, sizeof(secret));
	params[0] = OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, secret, sizeof(secret));
	params[1] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0);
	params[2] = OSSL_PARAM_construct_end();
	is_set = EVP_MAC_CTX_set_params(mac, params) == 1;
	OPENSSL_cleanse(secret, sizeof(secret));
	return is_set;
}

/* The newest key, or the one of that name. False: there is none. */
static bool copy_key(struct tls_ticket_key *copy, const unsigned char *name)
{
	const struct tls_ticket_key *key;

	/* Held for a copy or a rotation: a process that dies in it is not waited for for ever. */
	for (unsigned i = 0; i < LOCK_TRIES && atomic_flag_test_and_set(&keys->is_busy); i++)
		(void)sched_yield();
	key = name == NULL ? tls_ticket_keys_newest(&keys->keys, now())
			   : tls_ticket_keys_find(&keys->keys, name, now());
	if (key != NULL)
		*copy = *key;
	atomic_flag_clear(&keys->is_busy);
	return key != NULL;
}

/* SSL_CTX_set_tlsext_ticket_key_evp_cb(3): -1 error, 0 no such key, 1 good. */
static int on_ticket_key(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
	EVP_MAC_CTX *mac, int is_sealing)
{
	struct tls_ticket_key key;
	int result = 1;

	(void)ssl;
	if (is_sealing) {
		if (!copy_key(&key, NULL) || RAND_bytes(iv, 16) != 1)
			return -1;
		memcpy(name, key.name, sizeof(key.name));
	} else if (!copy_key(&key, name)) {
		return 0;
	}
	if (EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, key.cipher, iv, is_sealing) != 1 ||
		!set_mac_key(mac, &key))
		result = -1;
	OPENSSL_cleanse(&key, sizeof(key));
	return result;
}

void tls_tickets_share(void)
{
	struct shared_keys *shared = mmap(
		NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	/* Without it a ticket opens a session at one worker only: slower, and not wrong. */
	if (shared == MAP_FAILED)
		return;
	*shared = process_keys;
	keys = shared;
}

bool tls_tickets_use(SSL_CTX *ctx)
{
	return SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket_key) == 1;
}
