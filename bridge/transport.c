#include "bridge/transport.h"

const char *transport_end_name(enum transport_end why)
{
	switch (why) {
	case TRANSPORT_SUPERSEDED:
		return "superseded";
	case TRANSPORT_DRAINED:
		return "drained";
	}
	return "?";
}
