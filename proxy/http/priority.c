#include "proxy/http/priority.h"

void priority_read(struct priority *self, struct slice value)
{
	struct slice member;

	while (slice_next_element(&value, &member)) {
		/* Parameters of a member are not known here, and ignored. */
		member = slice_trim(slice_first(member, slice_find(member, ';')));
		if (member.n == 3 && member.p[0] == 'u' && member.p[1] == '=' &&
			member.p[2] >= '0' && member.p[2] <= '7')
			self->urgency = (unsigned)(member.p[2] - '0');
		else if (slice_equals(member, SLICE("i")) || slice_equals(member, SLICE("i=?1")))
			self->is_incremental = true;
		else if (slice_equals(member, SLICE("i=?0")))
			self->is_incremental = false;
	}
}
