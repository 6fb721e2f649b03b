// HTTP/2, RFC 9113 section 8 and 6.8: responses as they reach the client, whatever an HTTP/1.1 backend
// says, and how Pollux leaves a connection. The judge of the raw client checks the rules of each
// message; sections in names are of RFC 9113 where no other is named.
import assert from 'node:assert/strict';
import test from 'node:test';

import { Authority } from './lib/certificates.mjs';
import { CODE, MOST_STREAM, TYPE, data, headers, rstStream } from './lib/h2_frames.mjs';
import { h2Arena } from './lib/h2_rows.mjs';
import { H2Wire, request } from './lib/h2_wire.mjs';
import { chunked } from './lib/http_text.mjs';
import { Pollux } from './lib/pollux.mjs';
import { RawBackend } from './lib/raw_backend.mjs';
import { ok } from './lib/stage.mjs';

const END = { endStream: true };

// Fields without Date and Via, which every response has.
function own(fields) {
	return fields.filter(([name]) => name !== 'date' && name !== 'via');
}

const ANSWERS = {
	'/hop': 'HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Hop\r\nKeep-Alive: timeout=5\r\nProxy-Connection: x\r\n'
		+ `X-Hop: 1\r\nUpgrade: h2c\r\nTransfer-Encoding: chunked\r\n\r\n${chunked('ok')}`,
	'/names': 'HTTP/1.1 200 OK\r\nX-Upper: A\r\nSet-Cookie: a=b\r\nSET-COOKIE: c=d\r\nContent-Length: 0\r\n\r\n',
	'/values': 'HTTP/1.1 200 OK\r\nX-Empty:\r\nX-Space:  \t a b \t \r\nX-Bytes: caf\xe9\r\nContent-Length: 0\r\n\r\n',
	'/hints': `HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nConnection: close\r\n\r\n${ok()}`,
	'/many-hints': `${'HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n'.repeat(5)}${ok()}`,
	'/trailers': 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n'
		+ '2\r\nok\r\n0\r\nX-Sum: 1\r\nX-Sum: 2\r\n\r\n',
	'/bad-trailers': 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'
		+ '2\r\nok\r\n0\r\nContent-Length: 9\r\nTransfer-Encoding: x\r\nConnection: close\r\nX-Sum: 1\r\n\r\n',
	'/204': 'HTTP/1.1 204 No Content\r\n\r\n',
	'/304': 'HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: "x"\r\n\r\n',
	'/head': 'HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n',
	'/chunks': `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunked('abc', 'def')}`,
	'/empty-chunks': `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
	'/unasked-101': 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n',
	'/pseudo': 'HTTP/1.1 200 OK\r\n:status: 500\r\nContent-Length: 0\r\n\r\n',
	'/folded': 'HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n',
	'/te-and-length': `HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n${chunked('abc')}`,
};

test('responses', async (t) => {
	const { backend, connect } = await h2Arena(t, {
		answer: ({ target }, conn) => {
			if (target === '/until-close')
				conn.send('HTTP/1.1 200 OK\r\n\r\nto the end').end();
			return target === '/until-close' ? undefined : ANSWERS[target] ?? ok();
		},
	});
	const answered = async (sub, path, given = {}) => {
		const client = await connect(sub);
		const response = await client.expectResponse(client.request({ path, ...given }));
		await client.expectServes();
		return response;
	};

	await t.test('without fields of the other connection (8.2.2)', async (sub) => {
		const { status, fields, body } = await answered(sub, '/hop');
		assert.equal(status, 200);
		assert.deepEqual(own(fields), []);
		assert.equal(body.toString(), 'ok');
	});
	await t.test('with names in lower case, as often and in the order as they came (8.2)', async (sub) => {
		const { fields } = await answered(sub, '/names');
		assert.deepEqual(own(fields),
			[['x-upper', 'A'], ['set-cookie', 'a=b'], ['set-cookie', 'c=d'], ['content-length', '0']]);
	});
	await t.test('with values without the spaces around them (8.2.1)', async (sub) => {
		const response = await answered(sub, '/values');
		assert.equal(response.get('x-empty'), '');
		assert.equal(response.get('x-space'), 'a b');
		assert.equal(response.get('x-bytes'), 'caf\xe9');
	});
	await t.test('with the Date and Via that every response has (RFC 9110, 6.6.1, 7.6.3)', async (sub) => {
		const response = await answered(sub, '/names');
		assert.match(response.get('date'), /^\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$/);
		assert.equal(response.get('via'), '1.1 pollux');
	});
	await t.test('interim ones before the final one (8.1)', async (sub) => {
		const { status, interim } = await answered(sub, '/hints');
		assert.equal(status, 200);
		assert.deepEqual(interim.map((head) => [head.status, head.get('link')]), [[103, '</a>']]);
	});
	await t.test('any number of interim ones (8.1)', async (sub) => {
		assert.equal((await answered(sub, '/many-hints')).interim.length, 5);
	});
	await t.test('trailers (8.1)', async (sub) => {
		const { trailers, body } = await answered(sub, '/trailers');
		assert.deepEqual(trailers, [['x-sum', '1'], ['x-sum', '2']]);
		assert.equal(body.toString(), 'ok');
	});
	await t.test('no trailers that mean framing (8.2.2, RFC 9110 6.5.1)', async (sub) => {
		const { trailers = [] } = await answered(sub, '/bad-trailers');
		assert.ok(trailers.every(([name]) => name === 'x-sum'), JSON.stringify(trailers));
	});
	await t.test('204 and 304 without content (8.1.1)', async (sub) => {
		assert.equal((await answered(sub, '/204')).status, 204);
		const response = await answered(sub, '/304');
		assert.equal(response.status, 304);
		assert.equal(response.get('etag'), '"x"');
	});
	await t.test('HEAD with a length and without content (8.1.1)', async (sub) => {
		const response = await answered(sub, '/head', { method: 'HEAD' });
		assert.equal(response.status, 200);
		assert.equal(response.get('content-length'), '5000');
	});
	await t.test('chunks as DATA (8.1)', async (sub) => {
		assert.equal((await answered(sub, '/chunks')).body.toString(), 'abcdef');
		assert.equal((await answered(sub, '/empty-chunks')).body.length, 0);
	});
	await t.test('a body that ends with its connection', async (sub) => {
		assert.equal((await answered(sub, '/until-close')).body.toString(), 'to the end');
	});
	for (const path of ['/unasked-101', '/pseudo', '/folded', '/te-and-length']) {
		await t.test(`what no backend may say is 502, or made right: ${path.slice(1)}`, async (sub) => {
			const { status } = await answered(sub, path);
			assert.ok(status === 502 || (status === 200 && path !== '/unasked-101'), `${status}`);
		});
	}
	await t.test('many at a time, each its own', async (sub) => {
		const client = await connect(sub);
		const ids = Array.from({ length: 50 }, (_, n) => client.request({ path: n % 2 === 0 ? '/chunks' : '/trailers' }));
		for (const [n, id] of ids.entries())
			assert.equal((await client.expectResponse(id)).body.toString(), n % 2 === 0 ? 'abcdef' : 'ok');
		assert.ok(backend.conns.length > 1);
	});
});

// Each with a backend that is told what to do.
async function tell(t, options = {}) {
	const backend = await RawBackend.start(t);
	const pollux = await Pollux.start(t, {
		backend: { servers: [backend] }, listen: { h2c: true }, route: { forwarded: 'off' }, ...options,
	});
	return { backend, pollux, client: await H2Wire.open(t, pollux.where()) };
}

test('100 Continue goes from the backend to the client, the body the other way (8.1)', async (t) => {
	const { backend, client } = await tell(t);
	const fields = [['expect', '100-continue'], ['content-length', '3']];
	const id = client.request({ method: 'POST', open: true, fields });
	const conn = await backend.accept();
	const head = await conn.readHead();
	assert.equal(head.get('expect'), '100-continue');
	conn.send('HTTP/1.1 100 Continue\r\n\r\n');
	await client.expectThat(() => client.stream(id).interim.length === 1, '100');
	assert.equal(client.stream(id).interim[0].status, 100);
	client.send(data(id, 'abc', END));
	await conn.expect('abc');
	conn.send(ok());
	await client.expectStatus(id, 200);
});

test('another expectation is 417 (RFC 9110, 10.1.1)', async (t) => {
	const { client } = await tell(t);
	const id = client.request({ fields: [['expect', 'miracles']] });
	await client.expectStatus(id, 417);
});

test('a response before the end of its request: whole, then RST_STREAM NO_ERROR (8.1)', async (t) => {
	const { backend, client } = await tell(t);
	const id = client.request({ method: 'POST', open: true });
	const conn = await backend.accept();
	await conn.readHead();
	conn.send(ok('early'));
	assert.equal((await client.expectResponse(id)).body.toString(), 'early');
	await client.expectReset(id, CODE.NO_ERROR);
	client.send(data(id, 'x'), data(id, 'y', END)); // was under way
	await client.settle();
	const next = client.get();
	(await backend.accept()).send(ok());
	await client.expectStatus(next, 200);
});

test('a response that the backend cuts is reset with INTERNAL_ERROR, never ended (8.1.1)', async (t) => {
	for (const head of ['Content-Length: 10\r\n', 'Transfer-Encoding: chunked\r\n']) {
		await t.test(head.trim(), async (sub) => {
			const { backend, client, pollux } = await tell(sub);
			const id = client.get('/cut');
			const conn = await backend.accept();
			await conn.readHead();
			conn.send(`HTTP/1.1 200 OK\r\n${head}\r\n`, head.startsWith('T') ? '3\r\nabc\r\n' : 'abc');
			await client.expectThat(() => client.stream(id).nBytes === 3, 'the beginning');
			conn.close();
			await client.expectReset(id, CODE.INTERNAL_ERROR);
			assert.ok(!client.stream(id).hasEnded);
			assert.equal((await pollux.accessed({ target: '/cut' })).reason, 'backend-cut');
			const next = client.get();
			(await backend.accept()).send(ok());
			await client.expectStatus(next, 200);
		});
	}
});

test('a backend that is not there is 502, and the connection stays', async (t) => {
	const { backend, client, pollux } = await tell(t);
	backend.close();
	const id = client.get('/');
	const response = await client.expectStatus(id, 502);
	assert.equal(response.get('content-type'), 'text/plain; charset=utf-8');
	assert.equal((await pollux.accessed({ status: 502 })).version, '2.0');
	await client.settle();
});

test('a request that the client gives up is given up at the backend', async (t) => {
	const { backend, client, pollux } = await tell(t);
	const id = client.request({ method: 'POST', open: true, path: '/left' });
	const conn = await backend.accept();
	await conn.readHead();
	client.send(rstStream(id));
	await conn.expectGone();
	const { reason, status } = await pollux.accessed({ target: '/left' });
	assert.equal(reason, 'client-gone');
	assert.equal(status, 499);
});

// Leaving.

test('keepalive_requests: GOAWAY, and what was begun is finished (6.8)', async (t) => {
	const { backend, client } = await tell(t, { listen: { h2c: true, keepalive_requests: 3 } });
	backend.serve();
	for (let n = 0; n < 3; n++)
		await client.expectStatus(client.get(), 200);
	await client.expectThat(() => client.judge.goaways.length > 0, 'GOAWAY');
	assert.ok(client.judge.goaways.every(({ code }) => code === CODE.NO_ERROR));
	await client.expectEnd();
});

test('a drain: GOAWAY with the largest stream, then with the last one, and all is finished (6.8)', async (t) => {
	const { backend, client, pollux } = await tell(t, { program: { drain: '10s' } });
	const first = client.get('/first');
	const conn = await backend.accept();
	await conn.readHead();
	pollux.signal('SIGTERM');
	await client.expectFrame(TYPE.GOAWAY);
	assert.deepEqual(client.judge.goaways[0], { last: MOST_STREAM, code: CODE.NO_ERROR, debug: '' });
	await client.expectThat(() => client.judge.goaways.length === 2, 'the second GOAWAY');
	assert.equal(client.judge.goaways[1].code, CODE.NO_ERROR);
	assert.equal(client.judge.goaways[1].last, first);
	conn.send(ok('finished'));
	assert.equal((await client.expectStatus(first, 200)).body.toString(), 'finished');
	await client.expectEnd();
	client.close();
	await pollux.left();
});

test('a request that comes between the two GOAWAY frames is served (6.8)', async (t) => {
	const { backend, client, pollux } = await tell(t, { program: { drain: '10s' } });
	backend.serve(({ target }) => (target === '/wait' ? undefined : ok()));
	client.answers = false; // Pollux waits for an answer to its PING, or for a while
	client.get('/wait');
	await backend.until(() => backend.heard.includes('GET /wait'), 'the request');
	pollux.signal('SIGTERM');
	await client.expectFrame(TYPE.GOAWAY);
	if (client.judge.goaways.length === 1)
		await client.expectStatus(client.get('/late'), 200);
	await client.expectThat(() => client.judge.goaways.length === 2, 'the second GOAWAY');
	client.close();
	await pollux.left();
});

test('an idle connection is closed with GOAWAY NO_ERROR (9.1)', async (t) => {
	const { backend, client } = await tell(t, { listen: { h2c: true, idle_timeout: '150ms' } });
	backend.serve();
	await client.expectServes();
	const { code } = await client.expectGoaway(CODE.NO_ERROR);
	assert.equal(code, CODE.NO_ERROR);
	assert.ok(client.hasEnded);
});

// TLS.

test('over TLS', async (t) => {
	const authority = new Authority(t);
	const certificate = authority.issue(['a', 'b']);
	const stage = await h2Arena(t, {
		listen: [
			{ certificates: [certificate.pem] },
			{ certificates: [certificate.pem], alpn: ['http/1.1'] },
			{ certificates: [certificate.pem], tls_ciphers: 'ECDHE-ECDSA-AES128-SHA256', tls_min_version: '1.2' },
			{ certificates: [certificate.pem], client_verify: 'optional', client_ca: authority.file },
		],
	});
	const { pollux } = stage;

	await t.test('requests are served, with TLS 1.3 and 1.2 (9.2)', async (sub) => {
		for (const maxVersion of ['TLSv1.3', 'TLSv1.2']) {
			const client = await H2Wire.open(sub, pollux.where(), { tls: { maxVersion } });
			await client.expectServes();
		}
	});
	await t.test('h2 is not chosen where it is not offered (3.2)', async (sub) => {
		await assert.rejects(H2Wire.connect(sub, pollux.where(1), { tls: {} }));
		const client = await H2Wire.connect(sub, pollux.where(1), { tls: { ALPNProtocols: ['h2', 'http/1.1'] } });
		assert.equal(client.socket.alpnProtocol, 'http/1.1');
	});
	await t.test('a prohibited cipher is INADEQUATE_SECURITY, if h2 is chosen with it at all (9.2.2)', async (sub) => {
		const client = await H2Wire.connect(sub, pollux.where(2), {
			tls: { ALPNProtocols: ['h2', 'http/1.1'], maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-SHA256' },
		});
		if (client.socket.alpnProtocol === 'h2') {
			client.start();
			await client.expectGoaway(CODE.INADEQUATE_SECURITY);
		}
	});
	await t.test('with client certificates another host than that of the handshake is 421 (9.1.1)', async (sub) => {
		const client = await H2Wire.open(sub, pollux.where(3), { tls: { servername: 'a' } });
		await client.expectStatus(client.request({ authority: 'A:443' }), 200);
		await client.expectStatus(client.request({ authority: 'b' }), 421);
		assert.equal((await pollux.accessed({ status: 421 })).reason, 'misdirected');
		await client.expectServes();
	});
	await t.test(':scheme https (8.3.1)', async (sub) => {
		const client = await H2Wire.open(sub, pollux.where(), { tls: {} });
		client.send(headers(1, request({ scheme: 'https' }), END));
		await client.expectStatus(1, 200);
	});
});
