// Runs rows of attacks against one Pollux: exact bytes in, exact answer and exact forwarded bytes
// out, and the connection's fate.
import assert from 'node:assert/strict';

import { page } from './pages.mjs';
import { Pollux } from './pollux.mjs';
import { RawBackend } from './raw_backend.mjs';
import { connect, forwardedGet, get, passedOk } from './stage.mjs';
import { withoutDate } from './wire.mjs';

export const FENCE = '/fence';

// A Pollux and a backend for many rows.
export async function arena(t, { listen = {}, backend: options = {}, route = {}, answer } = {}) {
	const backend = (await RawBackend.start(t)).serve(answer);
	const pollux = await Pollux.start(t, {
		backend: { servers: [backend], ...options },
		listen,
		route: { forwarded: 'off', ...route },
	});
	return { backend, pollux };
}

// Another request over other connections: once it is answered, all that Pollux was going to forward
// of what came before has been forwarded.
async function fence(t, { backend, pollux }) {
	const client = await connect(t, pollux);
	client.send(get(FENCE));
	await client.readResponse();
	client.close();
	await backend.until(() => backend.heard.endsWith(forwardedGet(FENCE)), 'the fence');
}

/*
 * One row:
 *	send       what the client sends
 *	reason     the page it gets, and then the end; or
 *	answer     all that it gets: exact bytes without Date
 *	stays      true: the connection stays usable afterwards
 *	forwarded  exactly what the backend gets; nothing by default
 *	logged     the reason in the access log, if not `reason`
 */
export async function attack(t, stage, row) {
	const { backend, pollux } = stage;
	const before = backend.heard.length;
	const client = await connect(t, pollux);
	const wanted = row.answer ?? page(row.reason, { closes: !row.stays });

	client.send(row.send);
	let got = '';
	if (row.stays) {
		while (got.length < wanted.length)
			got += withoutDate((await client.readSome()).toString('latin1'));
	} else {
		got = withoutDate((await client.readAll()).toString('latin1'));
	}
	assert.equal(got, wanted);
	if (row.stays) {
		client.send(get(FENCE));
		await client.expect(passedOk());
	}
	client.close();
	await fence(t, stage);
	const heard = backend.heard.slice(before).replaceAll(forwardedGet(FENCE), '');
	assert.equal(heard, row.forwarded ?? '', 'what was forwarded');
	const logged = row.logged ?? row.reason;
	if (logged !== undefined)
		await pollux.accessed({ reason: logged });
}

export async function attacks(t, stage, rows) {
	for (const row of rows)
		await t.test(row.name, (sub) => attack(sub, stage, row));
}

// For rows that are no attacks: the request passes as given here, and the connection stays.
export function harmless(name, send, forwarded) {
	return { name, send, forwarded, answer: passedOk(), stays: true };
}

/*
 * Rows of chunked bodies that break: { good, passed, bad }. Once the backend has got `passed`, which
 * is what becomes of `good`, the client sends `bad`. It gets 400, and the backend nothing more: no
 * end of the body, and no further request on that connection, for it would not be answered there.
 */
async function brokenBody(t, stage, { good, passed, bad }) {
	const { backend, pollux } = stage;
	const forwarded = 'POST / HTTP/1.1\r\nHost: a\r\nVia: 1.1 pollux\r\n'
		+ `Transfer-Encoding: chunked\r\n\r\n${passed}`;
	const before = backend.heard.length;
	const client = await connect(t, pollux);

	client.send(`POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${good}`);
	await backend.until(() => backend.heard.slice(before) === forwarded, 'the good part');
	client.send(bad);
	const got = withoutDate((await client.readAll()).toString('latin1'));
	assert.equal(got, page('bad-body', { closes: true }));
	await fence(t, stage);
	assert.equal(backend.heard.slice(before), forwarded + forwardedGet(FENCE), 'what was forwarded');
	await pollux.accessed({ reason: 'bad-body' });
}

export async function brokenBodies(t, stage, rows) {
	for (const row of rows)
		await t.test(row.name, (sub) => brokenBody(sub, stage, row));
}
