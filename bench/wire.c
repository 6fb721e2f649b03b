#include "bench/wire.h"

#include <openssl/evp.h>

bool wire_parse_frame(const char *data, size_t n, struct wire_frame *out)
{
	const unsigned char *p = (const unsigned char *)data;
	if (n < 2)
		return false;
	out->fin = p[0] & 0x80;
	out->reserved = (p[0] >> 4) & 7;
	out->opcode = p[0] & 15;
	out->masked = p[1] & 0x80;
	out->length = p[1] & 127;
	size_t extended = out->length == 126 ? 2 : out->length == 127 ? 8 : 0;
	out->header = 2 + extended + (out->masked ? 4 : 0);
	if (n < out->header)
		return false;
	if (extended) {
		out->length = 0;
		for (size_t i = 0; i < extended; i++)
			out->length = out->length << 8 | p[2 + i];
	}
	if (out->masked)
		memcpy(out->mask, p + 2 + extended, 4);
	return true;
}

size_t wire_write_header(char *out, bool fin, uint8_t opcode, size_t length, const uint8_t *mask)
{
	unsigned char *p = (unsigned char *)out;
	size_t n = 2;
	unsigned char mask_bit = mask ? 0x80 : 0;
	p[0] = (unsigned char)((fin ? 0x80 : 0) | opcode);
	if (length < 126) {
		p[1] = (unsigned char)(mask_bit | length);
	} else if (length < 65536) {
		p[1] = mask_bit | 126;
		p[2] = (unsigned char)(length >> 8);
		p[3] = (unsigned char)length;
		n = 4;
	} else {
		p[1] = mask_bit | 127;
		for (size_t i = 0; i < 8; i++)
			p[2 + i] = (unsigned char)((uint64_t)length >> (56 - 8 * i));
		n = 10;
	}
	if (mask) {
		memcpy(p + n, mask, 4);
		n += 4;
	}
	return n;
}

void wire_mask(char *data, size_t n, const uint8_t mask[4])
{
	uint32_t narrow;
	uint64_t wide, word;
	size_t i = 0;
	memcpy(&narrow, mask, 4);
	wide = (uint64_t)narrow << 32 | narrow;
	for (; i + 8 <= n; i += 8) {
		memcpy(&word, data + i, 8);
		word ^= wide;
		memcpy(data + i, &word, 8);
	}
	for (; i < n; i++)
		data[i] = (char)((unsigned char)data[i] ^ mask[i & 3]);
}

void wire_accept(struct slice key, char out[WIRE_ACCEPT_SIZE])
{
	static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned int digest_size = 0;
	EVP_MD_CTX *sha1 = EVP_MD_CTX_new();
	bool done = sha1 && EVP_DigestInit_ex(sha1, EVP_sha1(), NULL) &&
		EVP_DigestUpdate(sha1, key.p, key.n) &&
		EVP_DigestUpdate(sha1, guid, sizeof(guid) - 1) &&
		EVP_DigestFinal_ex(sha1, digest, &digest_size);
	ASSERT(done && digest_size == 20);
	EVP_MD_CTX_free(sha1);
	EVP_EncodeBlock((unsigned char *)out, digest, (int)digest_size);
}
