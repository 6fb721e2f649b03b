/* The words of each enum of conf/conf.h, in the order of its values, ending in NULL. */
#ifndef CONF_WORDS_H
#define CONF_WORDS_H

extern const char *const conf_words_access_log_format[];
extern const char *const conf_words_log_level[];
extern const char *const conf_words_tls_version[];
extern const char *const conf_words_client_verify[];
extern const char *const conf_words_balance[];
extern const char *const conf_words_protocol[];
extern const char *const conf_words_match[];
extern const char *const conf_words_forwarded[];
extern const char *const conf_words_dialect[];

#endif
