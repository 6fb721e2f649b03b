// The judge that watches every raw HTTP/2 client: it has to notice each thing that a server may not
// send. Sections are of RFC 9113 where no other is named.
import assert from 'node:assert/strict';
import test from 'node:test';

import {
	CODE, FLAG, MOST_WINDOW, SETTING, TYPE,
	continuation, data, frame, goaway, headers, parseFrame, ping, priorityUpdate, pushPromise, rstStream, settings,
	settingsAck, windowUpdate,
} from './lib/h2_frames.mjs';
import { added, block, indexed, sizeUpdate } from './lib/h2_hpack.mjs';
import { Judge } from './lib/h2_judge.mjs';
import { request } from './lib/h2_wire.mjs';

const END = { endStream: true };
const OK = [[':status', '200']];

// A client that has opened stream 1 and sent these frames besides; then the server's frames.
function judged({ sent = [], isHead = false }, ...came) {
	const judge = new Judge();
	for (const given of [settings(), headers(1, request(), END), ...sent])
		judge.sent(parseFrame(given));
	judge.stream(1).isHead = isHead;
	for (const given of came)
		judge.got(parseFrame(given));
	return judge;
}

const refused = (name, ...came) => ({ name, came: [settings(), settingsAck(), ...came], isRefused: true });
const response = (fields) => refused(JSON.stringify(fields), headers(1, fields, END));

const ROWS = [
	{ name: 'SETTINGS do not come first (3.4)', isRefused: true, came: [ping()] },
	{ name: 'an acknowledgement comes first (3.4)', isRefused: true, came: [settingsAck()] },
	refused('two acknowledgements of one SETTINGS frame (6.5.3)', settingsAck()),
	refused('a frame beyond the frame size (4.2)', headers(1, OK), data(1, 'x'.repeat(16385))),
	refused('the reserved bit (4.1)', frame(TYPE.PING, 0, 0, '12345678', { reserved: true })),
	refused('an unused flag (4.1)', frame(TYPE.PING, 2, 0, '12345678')),
	refused('DATA before HEADERS (8.1)', data(1, 'x')),
	refused('DATA on a stream that nobody opened (5.1)', headers(3, OK, END)),
	refused('DATA behind the end (5.1)', headers(1, OK, END), data(1, 'x')),
	refused('DATA behind RST_STREAM (5.4.2)', headers(1, OK), rstStream(1), data(1, 'x')),
	refused('WINDOW_UPDATE behind RST_STREAM (5.4.2)', rstStream(1), windowUpdate(1, 1)),
	refused('padding as long as the payload (6.1)', headers(1, OK), data(1, 'abc', { padLength: 4 })),
	refused('padding that is not zero (6.1)', headers(1, OK), frame(TYPE.DATA, FLAG.PADDED, 1, '\x02abc')),
	refused('more than the window of a stream (6.9.1)', headers(1, OK), ...Array(4).fill(data(1, 'x'.repeat(16384)))),
	refused('PING within a block (4.3)', headers(1, OK, { endHeaders: false }), ping()),
	refused('CONTINUATION without HEADERS (6.10)', continuation(1, OK)),
	refused('a push (8.4)', pushPromise(1, 2, request())),
	refused('RST_STREAM of an idle stream (6.4)', rstStream(3)),
	refused('an answer to a PING that was not sent (6.7)', ping('12345678', FLAG.ACK)),
	refused('a window increment of 0 (6.9)', windowUpdate(0, 0)),
	refused('a window beyond 2^31 - 1 (6.9.1)', windowUpdate(0, MOST_WINDOW)),
	refused('ENABLE_PUSH of a server (6.5.2)', settings([[SETTING.ENABLE_PUSH, 1]])),
	refused('a frame size that is too small (6.5.2)', settings([[SETTING.MAX_FRAME_SIZE, 16383]])),
	refused('an initial window that is too large (6.5.2)', settings([[SETTING.INITIAL_WINDOW_SIZE, 2 ** 31]])),
	refused('ENABLE_CONNECT_PROTOCOL taken back (RFC 8441, 3)',
		settings([[SETTING.ENABLE_CONNECT_PROTOCOL, 1]]), settings([[SETTING.ENABLE_CONNECT_PROTOCOL, 0]])),
	refused('a last stream that grows (6.8)', goaway(1), goaway(3)),
	refused('a last stream below one that was answered (8.7)', headers(1, OK, END), goaway(0)),
	refused('an interim response that ends the stream (8.1)', headers(1, [[':status', '100']], END)),
	refused('trailers that do not end the stream (8.1)', headers(1, OK), headers(1, [['x', 'y']])),
	refused('a pseudo-header field in trailers (8.1)', headers(1, OK), headers(1, OK, END)),
	response([]),
	response([['x', 'y'], ...OK]),
	response([[':status', '20']]),
	response([[':status', '101']]),
	response([...OK, [':path', '/']]),
	response([...OK, ['X', 'y']]),
	response([...OK, ['x y', 'z']]),
	response([...OK, ['x', ' y']]),
	response([...OK, ['x', 'y\r\n']]),
	response([...OK, ['connection', 'close']]),
	response([...OK, ['transfer-encoding', 'chunked']]),
	response([...OK, ['content-length', '3']]),
	response([...OK, ['content-length', '0'], ['content-length', '0']]),
	refused('an index beyond the tables (RFC 7541, 2.3.3)', headers(1, Buffer.concat([block(OK), indexed(62)]), END)),
	refused('a table larger than allowed (RFC 7541, 6.3)', headers(1, Buffer.concat([sizeUpdate(4097), block(OK)]), END)),
	{ name: 'a table that does not shrink (RFC 7541, 4.2)', isRefused: true,
		sent: [settings([[SETTING.HEADER_TABLE_SIZE, 100]])],
		came: [settings(), settingsAck(), settingsAck(), headers(1, OK, END)] },
	{ name: 'content in a response to HEAD (8.1.1)', isRefused: true, isHead: true,
		came: [settings(), settingsAck(), headers(1, OK), data(1, 'x', END)] },
	{ name: 'more than a window that was made smaller (6.9.2)', isRefused: true,
		sent: [settings([[SETTING.INITIAL_WINDOW_SIZE, 2]])],
		came: [settings(), settingsAck(), settingsAck(), headers(1, OK), data(1, 'abc')] },
	{ name: 'nothing: an exchange with all that may be',
		sent: [ping('pingping'), windowUpdate(1, 70000), windowUpdate(0, 70000)],
		came: [
			settings([[SETTING.MAX_CONCURRENT_STREAMS, 100]]), settingsAck(), ping('pingping', FLAG.ACK), windowUpdate(0, 1),
			headers(1, [[':status', '103'], ['link', '</a>']]),
			headers(1, Buffer.concat([block(OK), added('x', 'y'), indexed(62)]), { endHeaders: false }),
			continuation(1, [['content-length', `${5 * 16384}`]]),
			frame(0xbe, 0xff, 1), priorityUpdate(1), ...Array(5).fill(data(1, 'x'.repeat(16384))),
			data(1, ''), headers(1, [['x-sum', '1']], END), rstStream(1, CODE.NO_ERROR), goaway(MOST_WINDOW), goaway(1),
		] },
];

test('the judge refuses', async (t) => {
	for (const { name, came, isRefused = false, ...client } of ROWS) {
		await t.test(name, () => {
			const judge = judged(client, ...came.slice(0, -1));
			const last = () => judge.got(parseFrame(came.at(-1)));
			if (isRefused)
				assert.throws(last);
			else
				last();
		});
	}
});
