#include "conf/errors.h"

#include <stdarg.h>
#include <stdlib.h>

#include "proxy/base/macros.h"
#include "proxy/base/memory.h"

void conf_errors_add(
	struct conf_errors *errors, const char *file, int line, const char *format, ...)
{
	char *message = NULL;
	size_t length = 0;
	FILE *out = open_memstream(&message, &length);
	va_list args;

	ASSERT(out != NULL);
	if (file != NULL && line > 0)
		(void)fprintf(out, "%s:%d: ", file, line);
	else if (file != NULL)
		(void)fprintf(out, "%s: ", file);
	va_start(args, format);
	(void)vfprintf(out, format, args);
	va_end(args);
	ASSERT(fclose(out) == 0);

	if (errors->n_messages == errors->n_allocated) {
		errors->n_allocated = MAX(errors->n_allocated * 2, 8);
		errors->messages = memory_realloc(
			errors->messages, errors->n_allocated * sizeof(errors->messages[0]));
	}
	errors->messages[errors->n_messages++] = message;
}

void conf_errors_print(const struct conf_errors *errors, FILE *out)
{
	for (size_t i = 0; i < errors->n_messages; i++)
		(void)fprintf(out, "%s\n", errors->messages[i]);
}

void conf_errors_clear(struct conf_errors *errors)
{
	for (size_t i = 0; i < errors->n_messages; i++)
		free(errors->messages[i]);
	free(errors->messages);
	*errors = (struct conf_errors){0};
}
