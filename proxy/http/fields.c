#include "proxy/http/fields.h"

#include <endian.h>

#define NAME_MAX_SIZE 32
#define N_FIRST 24

static const struct slice names[N_FIELD_IDS] = {[FIELD_OTHER] = {"", 0},
#define X(id, name) [id] = {name, sizeof(name) - 1},
	FIELD_NAMES(X)
#undef X
};

/*
 * Names by hash, open addressing. A cell is empty where the number is FIELD_OTHER. Filled at the
 * first look-up from the one list, so that a name is added in one place; at this load nearly every
 * look-up ends at its first cell.
 */
#define N_CELLS 256

static struct {
	uint8_t sizes[N_CELLS];
	uint8_t ids[N_CELLS];
	char texts[N_CELLS][NAME_MAX_SIZE];
} cells;
static bool has_cells;

/* Letters, digits and "-" are what names are made of: the bit that tells cases apart is set. */
static unsigned lower(char c)
{
	return (unsigned char)c | 0x20U;
}

static unsigned hash(const char *p, size_t n)
{
	unsigned h =
		(unsigned)n * 7 + lower(p[0]) * 3 + lower(p[n - 1]) * 13 + lower(p[n / 2]) * 37;

	return (h ^ (h >> 8)) & (N_CELLS - 1);
}

static void fill_cells(void)
{
	_Static_assert(N_FIELD_IDS <= N_CELLS / 2, "the table of names is too full");
	for (unsigned id = FIELD_OTHER + 1; id < N_FIELD_IDS; id++) {
		unsigned at = hash(names[id].p, names[id].n);

		ASSERT(names[id].n <= NAME_MAX_SIZE);
		while (cells.ids[at] != FIELD_OTHER)
			at = (at + 1) & (N_CELLS - 1);
		cells.ids[at] = (uint8_t)id;
		cells.sizes[at] = (uint8_t)names[id].n;
		memcpy(cells.texts[at], names[id].p, names[id].n);
	}
	has_cells = true;
}

static uint64_t load8(const char *p)
{
	uint64_t word;

	memcpy(&word, p, sizeof(word));
	return word;
}

/*
 * Whether eight bytes are the lower-case `known` in any case. Setting the case bit would make
 * control bytes look like digits and "-": they have neither of the two bits that one must have.
 */
static bool is_same8(const char *p, const char *known)
{
	const uint64_t ones = UINT64_C(0x0101010101010101);
	uint64_t word = load8(p);

	return (word | ones * 0x20) == load8(known) && (((word >> 5) | (word >> 6)) & ones) == ones;
}

static bool is_same(const char *p, const char *known, size_t n)
{
	if (n < 8) {
		for (size_t i = 0; i < n; i++)
			if (lower(p[i]) != (unsigned char)known[i] || (p[i] & 0x60) == 0)
				return false;
		return true;
	}
	for (size_t i = 0; i + 8 < n; i += 8)
		if (!is_same8(p + i, known + i))
			return false;
	return is_same8(p + n - 8, known + n - 8);
}

enum field_id field_id_find(struct slice name)
{
	if (name.n == 0 || name.n > NAME_MAX_SIZE)
		return FIELD_OTHER;
	if (UNLIKELY(!has_cells))
		fill_cells();
	for (unsigned at = hash(name.p, name.n);; at = (at + 1) & (N_CELLS - 1)) {
		if (cells.ids[at] == FIELD_OTHER)
			return FIELD_OTHER;
		if (cells.sizes[at] == name.n && is_same(name.p, cells.texts[at], name.n))
			return (enum field_id)cells.ids[at];
	}
}

struct slice field_id_name(enum field_id id)
{
	return names[id];
}

static char *put(char *to, struct slice s)
{
	return s.n > 0 ? mempcpy(to, s.p, s.n) : to;
}

static void grow(struct fields *self, struct arena *arena)
{
	uint32_t size = self->size > 0 ? self->size * 2 : N_FIRST;
	struct field *items = arena_alloc(arena, size * sizeof(*items));

	if (self->n > 0)
		memcpy(items, self->items, self->n * sizeof(*items));
	self->items = items;
	self->size = size;
}

void fields_add_known(struct fields *self, struct arena *arena, enum field_id id, struct slice name,
	struct slice value)
{
	if (UNLIKELY(self->n == self->size))
		grow(self, arena);
	self->items[self->n++] = (struct field){.name = name, .value = value, .id = id};
}

void fields_add(struct fields *self, struct arena *arena, struct slice name, struct slice value)
{
	fields_add_known(self, arena, field_id_find(name), name, value);
}

void fields_add_id(struct fields *self, struct arena *arena, enum field_id id, struct slice value)
{
	ASSERT(id != FIELD_OTHER);
	fields_add_known(self, arena, id, names[id], value);
}

const struct field *fields_find(const struct fields *self, enum field_id id)
{
	for (uint32_t i = 0; i < self->n; i++)
		if (self->items[i].id == id)
			return &self->items[i];
	return NULL;
}

const struct field *fields_find_name(const struct fields *self, struct slice name)
{
	enum field_id id = field_id_find(name);

	if (id != FIELD_OTHER)
		return fields_find(self, id);
	for (uint32_t i = 0; i < self->n; i++)
		if (self->items[i].id == FIELD_OTHER &&
			slice_equals_ignoring_case(self->items[i].name, name))
			return &self->items[i];
	return NULL;
}

struct slice fields_value(const struct fields *self, enum field_id id)
{
	const struct field *field = fields_find(self, id);

	return field != NULL ? field->value : SLICE("");
}

size_t fields_count(const struct fields *self, enum field_id id)
{
	size_t n = 0;

	for (uint32_t i = 0; i < self->n; i++)
		n += self->items[i].id == id;
	return n;
}

bool fields_has_token(const struct fields *self, enum field_id id, struct slice token)
{
	for (uint32_t i = 0; i < self->n; i++)
		if (self->items[i].id == id && slice_list_has(self->items[i].value, token))
			return true;
	return false;
}

struct slice fields_join(const struct fields *self, enum field_id id, struct arena *arena)
{
	size_t size = 0;
	uint32_t n = 0;
	char *text, *to;

	for (uint32_t i = 0; i < self->n; i++) {
		if (self->items[i].id != id)
			continue;
		size += self->items[i].value.n;
		n++;
	}
	if (n <= 1)
		return fields_value(self, id);
	to = text = arena_alloc_text(arena, size + 2 * (size_t)n);
	for (uint32_t i = 0; i < self->n; i++) {
		struct slice value = self->items[i].value;

		if (self->items[i].id != id)
			continue;
		if (to != text)
			to = mempcpy(to, ", ", 2);
		to = put(to, value);
	}
	return slice_of(text, (size_t)(to - text));
}

void fields_remove(struct fields *self, enum field_id id)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < self->n; i++)
		if (self->items[i].id != id)
			self->items[n++] = self->items[i];
	self->n = n;
}

void fields_settle(struct fields *self, const struct field *room, struct arena *arena)
{
	struct field *items;

	if (self->items != room)
		return;
	items = arena_alloc(arena, self->n * sizeof(*items));
	if (self->n > 0)
		memcpy(items, room, self->n * sizeof(*items));
	self->items = items;
	self->size = self->n;
}

void fields_copy(struct fields *self, const struct fields *from, struct arena *arena)
{
	size_t size = 0;
	char *text;

	*self = (struct fields){0};
	if (from->n == 0)
		return;
	for (uint32_t i = 0; i < from->n; i++)
		size += from->items[i].name.n + from->items[i].value.n;
	self->items = arena_alloc(arena, from->n * sizeof(*self->items));
	self->n = self->size = from->n;
	text = arena_alloc_text(arena, size);
	for (uint32_t i = 0; i < from->n; i++) {
		const struct field *field = &from->items[i];
		char *name = text, *value = put(name, field->name);

		text = put(value, field->value);
		self->items[i] = (struct field){.name = slice_of(name, field->name.n),
			.value = slice_of(value, field->value.n),
			.id = field->id};
	}
}
