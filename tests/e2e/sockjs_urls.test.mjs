// SockJS's URLs, methods and fields byte by byte: what each one answers, to whom.
import assert from 'node:assert/strict';
import test from 'node:test';

import { factsOf } from './lib/bridge.mjs';
import { HTML, NO_CACHE, OPEN_TO_ALL, PLAIN, SCRIPT, newSession, openedSock, sockStage } from './lib/sockjs.mjs';

const YEAR = 31_536_000;
const CLIENT = '/sockjs.min.js';

const IFRAME = (url) => `<!DOCTYPE html>
<html>
<head>
  <meta http-equiv="X-UA-Compatible" content="IE=edge" />
  <meta http-equiv="Content-Type" content="text/html; charset=UTF-8" />
  <script src="${url}"></script>
  <script>
    document.domain = document.domain;
    SockJS.bootstrap_iframe();
  </script>
</head>
<body>
  <h2>Don't panic!</h2>
  <p>This is a SockJS hidden iframe. It's used for cross domain magic.</p>
</body>
</html>`;

async function headOf(sock, transport, fields) {
	const receiver = await sock.session().receive(transport, { fields });
	return receiver.head();
}

test('the greeting', async (t) => {
	const { sock } = await sockStage(t);
	for (const path of ['', '/']) {
		const response = await sock.ask('GET', path);
		assert.equal(response.status, 200);
		assert.equal(response.get('Content-Type'), PLAIN);
		assert.equal(response.body.toString(), 'Welcome to SockJS!\n');
		assert.equal(response.get('Set-Cookie'), undefined);
	}
	assert.equal((await sock.ask('HEAD', '')).get('Content-Length'), '19');
});

test('info: what the server can, and each time another entropy', async (t) => {
	const { sock } = await sockStage(t, { route: OPEN_TO_ALL });
	const seen = new Set();
	for (let n = 0; n < 4; n++) {
		const response = await sock.ask('GET', '/info');
		assert.equal(response.status, 200);
		assert.equal(response.get('Content-Type'), 'application/json; charset=UTF-8');
		assert.equal(response.get('Cache-Control'), NO_CACHE);
		const { entropy, ...rest } = response.json;
		assert.deepEqual(rest, { websocket: true, origins: ['*:*'], cookie_needed: false });
		assert.ok(Number.isInteger(entropy) && entropy >= 0 && entropy < 2 ** 32);
		seen.add(entropy);
	}
	assert.ok(seen.size > 1);
	for (const name of ['Expires', 'Last-Modified', 'Set-Cookie'])
		assert.equal((await sock.ask('GET', '/info/')).get(name), undefined);
});

test('unknown URLs are 404', async (t) => {
	const { sock, backend } = await sockStage(t, { route: { sockjs_client_url: CLIENT } });
	const long = 'x'.repeat(129);
	for (const path of ['/a', '/a.html', '//', '///', '/a/a', '/a/a/', '/a/b/c', '/1/2/xhr/x', '/1//xhr', '//1/xhr',
		'/1/2/xhr//', '/a.b/c/xhr', '/a/b.c/xhr', '/a./b/xhr', '/1/2/', '/info//', '/infox', '/1/2/XHR', `/1/${long}/xhr`,
		'/iframe', '/IFRAME', '/IFRAME.HTML', '/iframe.htm', '/iframe.HTML', '/iframe-/.html', '/iframe_A.html']) {
		for (const method of ['GET', 'POST', 'OPTIONS'])
			assert.equal((await sock.ask(method, path)).status, 404, `${method} ${path}`);
	}
	assert.equal(backend.requests.length, 0);
});

test('server and session may be anything without a dot; a slash at the end is allowed', async (t) => {
	const { sock, backend } = await sockStage(t);
	for (const path of ['/1/aaa/xhr', '/a%20b/c%2ed/xhr', `/~/${'y'.repeat(128)}/xhr`, '/1/bbb/xhr/', '/*/-/xhr?'])
		assert.equal((await sock.ask('POST', path)).body.toString(), 'o\n', path);
	// Of the server nothing depends.
	const socket = backend.sockets[0];
	socket.send('same');
	assert.equal((await sock.ask('POST', '/2/aaa/xhr')).body.toString(), 'a["same"]\n');
	assert.equal(backend.sockets.length, 5);
});

const METHODS = {
	'': 'GET',
	'/info': 'OPTIONS, GET',
	'/iframe.html': 'GET',
	'/websocket': 'GET',
	'/0/s/websocket': 'GET',
	'/0/s/xhr': 'OPTIONS, POST',
	'/0/s/xhr_streaming': 'OPTIONS, POST',
	'/0/s/xhr_send': 'OPTIONS, POST',
	'/0/s/eventsource': 'GET',
	'/0/s/htmlfile': 'GET',
	'/0/s/jsonp': 'GET',
	'/0/s/jsonp_send': 'POST',
};

test('a wrong method: 405 that names the right ones, without a body and its type', async (t) => {
	const { sock } = await sockStage(t, { route: { sockjs_client_url: CLIENT } });
	for (const [path, methods] of Object.entries(METHODS)) {
		for (const method of ['GET', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH']) {
			if (methods.includes(method))
				continue;
			const response = await sock.ask(method, path);
			assert.equal(response.status, 405, `${method} ${path}`);
			assert.equal(response.get('Allow'), methods);
			assert.equal(response.get('Content-Type'), undefined);
			assert.equal(response.body.length, 0);
		}
	}
});

test('a websocket URL without a handshake', async (t) => {
	const { sock } = await sockStage(t);
	for (const path of ['/websocket', '/0/s/websocket']) {
		const response = await sock.ask('GET', path);
		assert.equal(response.status, 400);
		assert.equal(response.body.toString(), 'Not a valid websocket request\n');
		const old = await sock.ask('GET', path, {
			fields: { Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': 8,
				'Sec-WebSocket-Key': 'x3JJHMbDL1EzLkh9GBhXDw==' },
		});
		assert.equal(old.status, 426);
		assert.equal(old.get('Sec-WebSocket-Version'), '13');
	}
});

test('websocket switched off: both URLs are gone, and info says so', async (t) => {
	for (const route of [{ sockjs_websocket: false }, { websocket: false }]) {
		const { sock } = await sockStage(t, { route });
		assert.equal((await sock.ask('GET', '/info')).json.websocket, false);
		for (const path of ['/websocket', '/0/s/websocket'])
			assert.equal((await sock.ask('GET', path)).status, 404);
	}
});

test('the iframe page: cacheable for a year, its ETag, 304', async (t) => {
	const { sock } = await sockStage(t, { route: { sockjs_client_url: CLIENT } });
	let etag;
	for (const path of ['/iframe.html', '/iframe-a.html', '/iframe-.html', '/iframe-0.1.2.html', '/iframe-0.1.2abc-dirty.2144.html',
		'/iframe.html?t=qweqweq123']) {
		const response = await sock.ask('GET', path);
		assert.equal(response.status, 200, path);
		assert.equal(response.body.toString(), IFRAME(CLIENT));
		assert.equal(response.get('Content-Type'), HTML);
		assert.equal(response.get('Cache-Control'), `public, max-age=${YEAR}`);
		const left = (Date.parse(response.get('Expires')) - Date.now()) / 1000;
		assert.ok(Math.abs(left - YEAR) < 60, response.get('Expires'));
		for (const name of ['Last-Modified', 'Set-Cookie', 'X-Frame-Options'])
			assert.equal(response.get(name), undefined);
		etag = response.get('ETag');
		assert.match(etag, /^"[0-9a-f]{32}"$/);
	}
	const known = await sock.ask('GET', '/iframe.html', { fields: { 'If-None-Match': etag } });
	assert.equal(known.status, 304);
	assert.equal(known.get('Content-Type'), undefined);
	assert.equal(known.get('ETag'), etag);
	const other = await sock.ask('GET', '/iframe.html', { fields: { 'If-None-Match': '"x"' } });
	assert.equal(other.status, 200);
});

test('the iframe page says who may frame it; none without a script', async (t) => {
	const policy = async (route) => {
		const { sock } = await sockStage(t, { route: { sockjs_client_url: 'https://c.example/s.js', ...route } });
		const response = await sock.ask('GET', '/iframe.html', { fields: { 'Sec-Fetch-Site': 'cross-site' } });
		assert.equal(response.body.toString(), IFRAME('https://c.example/s.js'));
		return response.get('Content-Security-Policy');
	};
	assert.equal(await policy({}), 'frame-ancestors \'self\'');
	assert.equal(await policy({ allowed_origins: ['https://p.example', 'null', 'http://q.example:81'] }),
		'frame-ancestors \'self\' https://p.example http://q.example:81');
	assert.equal(await policy(OPEN_TO_ALL), undefined);
	const { sock } = await sockStage(t);
	assert.equal((await sock.ask('GET', '/iframe.html')).status, 404);
});

function corsOf(response) {
	return ['Access-Control-Allow-Origin', 'Access-Control-Allow-Credentials', 'Vary'].map((name) => response.get(name));
}

test('open to all: origins are echoed with credentials, none is "*" without', async (t) => {
	const { sock } = await sockStage(t, { route: OPEN_TO_ALL });
	const answers = async (fields) => [
		await sock.ask('GET', '/info', { fields }),
		await sock.session().poll('xhr', { fields }),
		await sock.session().send('["x"]', { fields }),
		await headOf(sock, 'eventsource', fields),
		await headOf(sock, 'xhr_streaming', fields),
		await sock.ask('OPTIONS', '/0/s/xhr', { fields }),
		await sock.ask('OPTIONS', '/info', { fields }),
	];
	for (const response of await answers({}))
		assert.deepEqual(corsOf(response), ['*', undefined, 'Origin']);
	for (const origin of ['test', 'null', 'https://x.example', 'http://a']) {
		for (const response of await answers({ Origin: origin, 'Sec-Fetch-Site': 'cross-site' }))
			assert.deepEqual(corsOf(response), [origin, 'true', 'Origin']);
	}
	for (const transport of ['jsonp', 'htmlfile']) {
		const fields = { 'Sec-Fetch-Site': 'cross-site' };
		const response = await headOf(sock, transport, fields);
		assert.deepEqual(corsOf(response), [undefined, undefined, undefined]);
	}
});

test('by default only pages of the same origin, or no pages', async (t) => {
	const { sock, backend, pollux } = await sockStage(t);
	const refused = [{ Origin: 'http://evil.example' }, { Origin: 'null' }, { 'Sec-Fetch-Site': 'cross-site' },
		{ Origin: 'http://a:81' }, { Origin: 'https://a' }];
	const handshake = { Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': 13,
		'Sec-WebSocket-Key': 'x3JJHMbDL1EzLkh9GBhXDw==' };
	for (const fields of refused) {
		for (const [method, path] of [['GET', '/info'], ['POST', '/0/s/xhr'], ['POST', '/0/s/xhr_send'],
			['GET', '/0/s/jsonp?c=x'], ['GET', '/0/s/eventsource'], ['OPTIONS', '/0/s/xhr']]) {
			const response = await sock.ask(method, path, { fields });
			assert.equal(response.status, 403, `${method} ${path}`);
			assert.equal(response.get('Access-Control-Allow-Origin'), undefined);
			await pollux.accessed({ status: 403, reason: 'origin' });
		}
		for (const path of ['', '/websocket', '/0/s/websocket'])
			assert.equal((await sock.ask('GET', path, { fields: { ...handshake, ...fields } })).status, 403, path);
	}
	assert.equal(backend.requests.length, 0);
	for (const fields of [{}, { Origin: 'http://a' }, { Origin: 'http://A:80', 'Sec-Fetch-Site': 'same-origin' }]) {
		const response = await sock.session().poll('xhr', { fields });
		assert.equal(response.body.toString(), 'o\n');
		assert.deepEqual(corsOf(response), [undefined, undefined, 'Origin']);
	}
});

test('listed origins get CORS, others 403', async (t) => {
	const { sock } = await sockStage(t, { route: { allowed_origins: ['https://p.example'] } });
	const fields = { Origin: 'https://p.example', 'Sec-Fetch-Site': 'cross-site' };
	assert.deepEqual(corsOf(await sock.session().poll('xhr', { fields })), ['https://p.example', 'true', 'Origin']);
	assert.equal((await sock.session().poll('xhr', { fields: { Origin: 'https://q.example' } })).status, 403);
	const response = await sock.session().poll('xhr');
	assert.deepEqual(corsOf(response), [undefined, undefined, 'Origin']);
});

test('preflights', async (t) => {
	const { sock } = await sockStage(t, { route: OPEN_TO_ALL });
	for (const [path, methods] of [['/info', 'OPTIONS, GET'], ['/0/s/xhr', 'OPTIONS, POST'],
		['/0/s/xhr_send', 'OPTIONS, POST'], ['/0/s/xhr_streaming', 'OPTIONS, POST']]) {
		for (const wanted of [undefined, 'a, b, c', '']) {
			const response = await sock.ask('OPTIONS', path, {
				fields: { Origin: 'test', 'Access-Control-Request-Headers': wanted },
			});
			const { status, fields: { Expires: expires, ...fields }, body } = factsOf(response);
			assert.deepEqual({ status, fields, body }, {
				status: 204,
				fields: {
					Vary: 'Origin',
					'Access-Control-Allow-Origin': 'test',
					'Access-Control-Allow-Credentials': 'true',
					'Cache-Control': `public, max-age=${YEAR}`,
					Allow: methods,
					'Access-Control-Allow-Methods': methods,
					'Access-Control-Max-Age': String(YEAR),
					...(wanted ? { 'Access-Control-Allow-Headers': wanted } : {}),
				},
				body: '',
			});
			assert.ok(Date.parse(expires) > Date.now() + (YEAR - 60) * 1000);
		}
	}
});

test('the fields of receivers and sends', async (t) => {
	const { sock } = await sockStage(t);
	const always = { 'Cache-Control': NO_CACHE, 'Referrer-Policy': 'no-referrer', 'X-Accel-Buffering': 'no' };
	const session = sock.session();
	assert.deepEqual(factsOf(await session.poll('xhr')), {
		status: 200,
		fields: { ...always, Vary: 'Origin', 'Content-Type': SCRIPT, 'Transfer-Encoding': 'chunked' },
		body: 'o\n',
	});
	assert.deepEqual(factsOf(await session.send('["x"]')), {
		status: 204,
		fields: { 'Cache-Control': NO_CACHE, Vary: 'Origin', 'Content-Type': PLAIN },
		body: '',
	});
	assert.deepEqual(factsOf(await session.send('["x"]', { transport: 'jsonp_send' })), {
		status: 200,
		fields: { 'Cache-Control': NO_CACHE, Vary: 'Origin', 'Content-Type': PLAIN, 'Content-Length': '2' },
		body: 'ok',
	});
	assert.deepEqual(factsOf(await sock.session().poll('jsonp')), {
		status: 200,
		fields: { ...always, 'X-Content-Type-Options': 'nosniff', 'Content-Type': SCRIPT, 'Transfer-Encoding': 'chunked' },
		body: '/**/call.back("o");\r\n',
	});
	const response = await headOf(sock, 'htmlfile');
	assert.equal(response.get('Cache-Control'), NO_CACHE);
});

test('the page of htmlfile is larger than what browsers hold back', async (t) => {
	const { sock } = await sockStage(t);
	const { prelude } = await sock.session().receive('htmlfile');
	assert.ok(prelude.length >= 1024, String(prelude.length));
	assert.equal(prelude.trim(), `<!doctype html>
<html><head>
  <meta http-equiv="X-UA-Compatible" content="IE=edge" />
  <meta http-equiv="Content-Type" content="text/html; charset=UTF-8" />
</head><body><h2>Don't panic!</h2>
  <script>
    document.domain = document.domain;
    var c = parent.call.back;
    c.start();
    function p(d) {c.message(d);};
    window.onload = c.stop;
  </script>`);
});

test('callbacks: missing or of other characters is 500, and no session', async (t) => {
	const { sock, backend } = await sockStage(t);
	for (const transport of ['jsonp', 'htmlfile']) {
		const ask = async (query) => {
			const { status, body } = await sock.session().ask('GET', transport + query);
			assert.equal(status, 500, query);
			return body.toString();
		};
		for (const query of ['', '?', '?c=', '?x=y', '?callback=', '?C=x'])
			assert.match(await ask(query), /"callback" parameter required/);
		for (const name of ['a(b', 'a%20b', '%3Cscript%3E', 'a+b', 'a%00', 'a;b', 'a"b', '%', 'ü', 'x'.repeat(33)].map(encodeURI))
			assert.match(await ask(`?c=${name}`), /invalid "callback" parameter/, name);
	}
	assert.equal(backend.requests.length, 0);
	const response = await sock.session().ask('GET', `jsonp?callback=${'a-Z0_.'.padEnd(32, 'x')}`);
	assert.equal(response.body.toString(), `/**/${'a-Z0_.'.padEnd(32, 'x')}("o");\r\n`);
});

test('the cookie: on session URLs only, the client\'s own value', async (t) => {
	const { sock } = await sockStage(t, { route: { sockjs_cookie: true } });
	assert.equal((await sock.ask('GET', '/info')).json.cookie_needed, true);
	assert.equal((await sock.ask('GET', '/info')).get('Set-Cookie'), undefined);
	assert.equal((await sock.ask('GET', '')).get('Set-Cookie'), undefined);
	const session = sock.session();
	assert.equal((await session.poll('xhr')).get('Set-Cookie'), 'JSESSIONID=dummy; path=/');
	const fields = { Cookie: 'a=b; JSESSIONID=abcdef;c=d' };
	assert.equal((await session.send('["x"]', { fields })).get('Set-Cookie'), 'JSESSIONID=abcdef; path=/');
	for (const transport of ['xhr_streaming', 'eventsource', 'htmlfile', 'jsonp']) {
		const response = await headOf(sock, transport, fields);
		assert.equal(response.get('Set-Cookie'), 'JSESSIONID=abcdef; path=/');
	}
	const { sock: without } = await sockStage(t);
	assert.equal((await without.session().poll('xhr', { fields })).get('Set-Cookie'), undefined);
});

test('beside the plain dialect: SockJS has its URLs, the rest is as without it', async (t) => {
	const { bridge, backend, sock } = await sockStage(t, { route: { bridge: ['plain', 'sockjs'] } });
	const { session, stream } = await bridge.openStream();
	assert.equal((await session.post('hello')).status, 204);
	assert.equal(await (await backend.accept()).received.next(), 'hello');
	stream.close();
	assert.equal((await bridge.open()).response.status, 201);
	assert.equal((await sock.ask('GET', '')).body.toString(), 'Welcome to SockJS!\n');
	const name = newSession();
	const own = sock.session(name);
	await own.expectFrame('o');
	assert.equal((await bridge.ask('GET', `/echo/~${name}?wait=0`)).status, 404);
	// What is neither's goes to the backend.
	assert.equal((await sock.ask('PUT', '')).status, 426);
	assert.equal((await sock.ask('GET', '/other')).status, 426);
	const socket = await bridge.webSocket('/echo');
	socket.send('tunnel');
	assert.equal(await backend.sockets.at(-1).received.next(), 'tunnel');
	socket.close();
});

test('a session id is in no log', async (t) => {
	const { session, pollux } = await openedSock(t, { program: { log_level: 'debug' } });
	await session.sends('x');
	const entry = await pollux.accessed({ status: 204 });
	assert.equal(entry.target, `/echo/000/${session.id.slice(0, 2)}.../xhr_send`);
	assert.equal(entry.session, `${session.id.slice(0, 2)}...`);
	assert.ok(!pollux.log.text().includes(session.id));
});
