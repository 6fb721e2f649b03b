// TLS on both sides: certificates by name, client certificates, sessions, ends that are said and
// ends that are not.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import test from 'node:test';
import tls from 'node:tls';

import { Authority } from './lib/certificates.mjs';
import { page } from './lib/pages.mjs';
import { Pollux } from './lib/pollux.mjs';
import { RawBackend } from './lib/raw_backend.mjs';
import { connect, forwardedGet, get, ok, passedOk, stage } from './lib/stage.mjs';
import { Tap } from './lib/tap.mjs';
import { handshake, switching } from './lib/websocket_bytes.mjs';
import { Wire } from './lib/wire.mjs';

const V12 = { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' };
const V13 = { minVersion: 'TLSv1.3', maxVersion: 'TLSv1.3' };
const VERSIONS = [['TLS 1.2', V12], ['TLS 1.3', V13]];

// Pollux with one certificate for "a" on its listener.
async function tlsStage(t, { listen = {}, ...options } = {}) {
	const authority = new Authority(t);
	const certificate = authority.issue(['a', 'localhost', '127.0.0.1']);
	const backend = await RawBackend.start(t);
	const pollux = await Pollux.start(t, {
		backend,
		route: { forwarded: 'off' },
		listen: { certificates: [certificate.pem], ...listen },
		...options,
	});
	const trusting = { rejectUnauthorized: true, ca: authority.certificate, servername: 'a' };
	return { authority, backend, pollux, trusting };
}

async function isServed(client) {
	client.send(get());
	await client.expect(passedOk());
}

// Clients.

for (const [name, version] of VERSIONS) {
	test(`a request over ${name}`, async (t) => {
		const { backend, pollux, trusting } = await tlsStage(t);
		const client = await connect(t, pollux, { tls: { ...trusting, ...version } });

		client.send(get());
		const conn = await backend.accept();
		await conn.expect(forwardedGet());
		conn.send(ok());
		await client.expect(passedOk());
		assert.equal(client.socket.getProtocol(), name.replace(' ', 'v'));
		assert.equal((await pollux.accessed()).tls, name.replace(' ', 'v'));
	});
}

test('the backend learns that its client speaks TLS', async (t) => {
	const { backend, pollux } = await tlsStage(t, { route: { forwarded: 'both' } });
	const client = await connect(t, pollux, { tls: {} });

	client.send(get());
	const request = await (await backend.accept()).readRequest();
	assert.equal(request.get('x-forwarded-proto'), 'https');
	assert.equal(request.get('forwarded'), 'for=127.0.0.1;host=a;proto=https');
});

test('tls_min_version = 1.3 refuses TLS 1.2', async (t) => {
	const { backend, pollux } = await tlsStage(t, { listen: { tls_min_version: '1.3' } });

	backend.serve();
	await assert.rejects(connect(t, pollux, { tls: V12 }), { code: 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION' });
	await isServed(await connect(t, pollux, { tls: V13 }));
});

test('the certificate is chosen by name, wildcards count, the first is for the rest', async (t) => {
	const authority = new Authority(t);
	const first = authority.issue(['first.example']);
	const star = authority.issue(['*.site.example']);
	const exact = authority.issue(['www.site.example', 'other.example']);
	const backend = await RawBackend.start(t);
	const pollux = await Pollux.start(t, {
		backend,
		listen: {
			certificates: [first.pem, star.cert, exact.pem],
			certificate_keys: ['', star.key, ''],
		},
	});
	const subject = async (servername) => {
		const client = await connect(t, pollux, { tls: { servername } });
		return client.socket.getPeerCertificate().subject.CN;
	};

	assert.equal(await subject('first.example'), 'first.example');
	assert.equal(await subject('www.site.example'), 'www.site.example');
	assert.equal(await subject('WWW.SITE.EXAMPLE'), 'www.site.example');
	assert.equal(await subject('other.example'), 'www.site.example');
	assert.equal(await subject('b.site.example'), '*.site.example');
	assert.equal(await subject('c.b.site.example'), 'first.example');
	assert.equal(await subject('site.example'), 'first.example');
	assert.equal(await subject('unknown.example'), 'first.example');
	assert.equal(await subject(''), 'first.example');
});

test('a chain in the file is sent as a chain', async (t) => {
	const authority = new Authority(t);
	const backend = await RawBackend.start(t);
	const leaf = authority.issue(['a']);
	writeFileSync(leaf.pem, leaf.certText + authority.certificate.toString('latin1') + leaf.keyText);
	const pollux = await Pollux.start(t, { backend, listen: { certificates: [leaf.pem] } });
	const client = await connect(t, pollux, { tls: { servername: 'a' } });

	const issuer = client.socket.getPeerCertificate(true).issuerCertificate;
	assert.equal(issuer.subject.CN, 'Test authority');
});

test('a plain request on a TLS listener gets no answer, and the next client is served', async (t) => {
	const { backend, pollux } = await tlsStage(t);
	const plain = await connect(t, pollux);

	backend.serve();
	plain.send(get());
	await plain.expectGone();
	await pollux.logged(/TLS handshake/);
	assert.equal(backend.conns.length, 0);
	await isServed(await connect(t, pollux, { tls: {} }));
});

// Client certificates.

const WHO = {
	good: (ours) => ours.issue(['client']),
	foreign: (_, theirs) => theirs.issue(['client']),
	expired: (ours) => ours.issue(['client'], { days: -1 }),
	server: (ours) => ours.issue(['client'], { usage: 'serverAuth' }),
	none: () => undefined,
};

for (const [client_verify, welcome] of [
	['off', ['good', 'foreign', 'none']],
	['optional', ['good', 'none']],
	['required', ['good']],
]) {
	for (const [version, range] of VERSIONS) {
		test(`client_verify = ${client_verify}, ${version}`, async (t) => {
			const [ours, theirs] = [new Authority(t, 'Ours'), new Authority(t, 'Theirs')];
			const { backend, pollux } = await tlsStage(t, {
				listen: client_verify === 'off' ? {} : { client_verify, client_ca: ours.file },
			});

			backend.serve();
			for (const [who, issue] of Object.entries(WHO)) {
				if (client_verify === 'off' && !welcome.includes(who))
					continue;
				const certificate = issue(ours, theirs);
				const attempt = async () => {
					const client = await connect(t, pollux,
						{ tls: { ...range, cert: certificate?.certText, key: certificate?.keyText } });
					client.send(get());
					return client.readResponse();
				};
				if (welcome.includes(who))
					assert.equal((await attempt()).status, 200, `${who} is served`);
				else
					await assert.rejects(attempt(), `${who} is refused`);
			}
			const served = backend.heard.split('GET / ').length - 1;
			assert.equal(served, welcome.length);
		});
	}
}

test('with client certificates a Host other than the name of the handshake is 421', async (t) => {
	const ours = new Authority(t);
	const { backend, pollux } = await tlsStage(t, {
		listen: { client_verify: 'optional', client_ca: ours.file },
	});
	const client = await connect(t, pollux, { tls: { servername: 'a' } });

	backend.serve();
	await isServed(client);
	client.send('GET / HTTP/1.1\r\nHost: A:8443\r\n\r\n');
	await client.expect(passedOk());
	client.send('GET / HTTP/1.1\r\nHost: b\r\n\r\n');
	await client.expect(page('misdirected'));
	client.send('GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n');
	await client.expect(page('misdirected'));
	assert.equal((await pollux.accessed({ status: 421 })).reason, 'misdirected');
	const nameless = await connect(t, pollux, { tls: { servername: '' } });
	await isServed(nameless);
});

test('without client certificates one connection may serve many hosts', async (t) => {
	const { backend, pollux } = await tlsStage(t);
	const client = await connect(t, pollux, { tls: { servername: 'a' } });

	backend.serve();
	client.send('GET / HTTP/1.1\r\nHost: b\r\n\r\n');
	await client.expect(passedOk());
});

// Sessions.

// A session that the client may offer again.
async function sessionOf(t, pollux, options) {
	const client = await connect(t, pollux, { tls: options });
	let session;
	client.socket.on('session', (given) => (session = given));
	client.send(get());
	await client.readResponse();
	return session ?? client.socket.getSession();
}

for (const [name, version] of VERSIONS) {
	test(`a session is resumed (${name})`, async (t) => {
		const { backend, pollux } = await tlsStage(t);

		backend.serve();
		const options = { ...version, servername: 'a' };
		const session = await sessionOf(t, pollux, options);
		const again = await connect(t, pollux, { tls: { ...options, session } });
		assert.ok(again.socket.isSessionReused());
		await isServed(again);
	});

	test(`tls_session_tickets = no: nothing is resumed (${name})`, async (t) => {
		const { backend, pollux } = await tlsStage(t, { listen: { tls_session_tickets: false } });

		backend.serve();
		const options = { ...version, servername: 'a' };
		const session = await sessionOf(t, pollux, options);
		const again = await connect(t, pollux, { tls: { ...options, session } });
		assert.ok(!again.socket.isSessionReused());
		await isServed(again);
	});

	test(`a session is not resumed across policies on client certificates (${name})`, async (t) => {
		const ours = new Authority(t, 'Ours');
		const theirs = new Authority(t, 'Theirs');
		const server = ours.issue(['a']);
		const certificate = ours.issue(['client']);
		const backend = (await RawBackend.start(t)).serve();
		const certificates = [server.pem];
		const pollux = await Pollux.start(t, {
			backend,
			listen: [
				{ certificates },
				{ certificates, client_verify: 'optional', client_ca: ours.file },
				{ certificates, client_verify: 'required', client_ca: ours.file },
				{ certificates, client_verify: 'optional', client_ca: theirs.file },
			],
		});
		const at = (index) => ({ where: () => pollux.where(index) });
		const options = { ...version, servername: 'a', cert: certificate.certText, key: certificate.keyText };
		const nobody = { ...version, servername: 'a' };

		for (const [from, who] of [[0, nobody], [1, options], [1, nobody], [2, options]]) {
			const session = await sessionOf(t, at(from), who);
			for (const to of [0, 1, 2, 3].filter((index) => index !== from)) {
				const bare = { ...nobody, session };
				const isReused = await connect(t, at(to), { tls: bare })
					.then((client) => client.socket.isSessionReused(), () => false);
				assert.ok(!isReused, `a session of listener ${from} at listener ${to}`);
			}
		}
	});
}

test('what was said in a resumed session about the client certificate still holds', async (t) => {
	const ours = new Authority(t);
	const certificate = ours.issue(['client']);
	const { backend, pollux } = await tlsStage(t, {
		listen: { client_verify: 'required', client_ca: ours.file },
	});

	backend.serve();
	for (const [, version] of VERSIONS) {
		const options = { ...version, servername: 'a', cert: certificate.certText, key: certificate.keyText };
		const session = await sessionOf(t, pollux, options);
		const again = await connect(t, pollux, { tls: { ...options, session } });
		assert.ok(again.socket.isSessionReused());
		await isServed(again);
	}
});

// Ends. In TLS 1.2 the types of records can be seen from outside: an alert before the end of the
// TCP connection is the close_notify.

async function tapped(t, options) {
	const parts = await tlsStage(t, options);
	const tap = await Tap.start(t, parts.pollux.where());
	const client = await Wire.connect(t, tap.where, { tls: V12 });
	return { ...parts, client, tapConn: await tap.accept() };
}

test('close_notify goes before the end, and the client\'s is answered', async (t) => {
	const { backend, client, tapConn } = await tapped(t);

	backend.serve();
	await isServed(client);
	client.end();
	await client.expectEnd();
	await tapConn.until(() => tapConn.toClient.hasEnded, 'the end from Pollux');
	assert.equal(tapConn.toClient.records.types.at(-1), 'alert');
});

test('close_notify after Connection: close', async (t) => {
	const { backend, client, tapConn } = await tapped(t);

	backend.serve();
	client.send(get('/', 'Connection: close\r\n'));
	await client.readResponse();
	await tapConn.until(() => tapConn.toClient.hasEnded, 'the end from Pollux');
	assert.equal(tapConn.toClient.records.types.at(-1), 'alert');
});

test('a response that is cut has no close_notify', async (t) => {
	const { backend, client, tapConn } = await tapped(t);

	client.send('GET / HTTP/1.0\r\nHost: a\r\n\r\n'); // a body that ends with the connection
	const conn = await backend.accept();
	await conn.readRequest();
	conn.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n');
	await client.readUntil('hello');
	conn.end();
	await tapConn.until(() => tapConn.isOver, 'the end of the connection');
	assert.equal(tapConn.toClient.records.types.at(-1), 'data');
});

test('a client whose TCP ends without close_notify was cut', async (t) => {
	const { backend, pollux, client, tapConn } = await tapped(t);

	client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf');
	const conn = await backend.accept();
	await conn.readUntil('half');
	tapConn.cut();
	await conn.expectGone();
	assert.equal((await pollux.accessed()).reason, 'client-gone');
});

test('a tunnel over TLS keeps half-closes, both ways', async (t) => {
	const { backend, client, tapConn } = await tapped(t);

	client.send(handshake());
	const conn = await backend.accept();
	await conn.readRequest();
	conn.send(switching());
	await client.readResponse();
	client.send('\x82\x82abcdef').end();
	await conn.expect('\x82\x82abcdef');
	await conn.expectEnd();
	conn.send('\x82\x02hi').end();
	await client.expect('\x82\x02hi');
	await client.expectEnd();
	assert.equal(tapConn.toClient.records.types.at(-1), 'alert');
	assert.equal(tapConn.toServer.records.types.at(-1), 'alert');
});

test('a tunnel whose client is cut without close_notify is cut', async (t) => {
	const { backend, pollux, client, tapConn } = await tapped(t);

	client.send(handshake());
	const conn = await backend.accept();
	await conn.readRequest();
	conn.send(switching());
	await client.readResponse();
	tapConn.cut();
	await conn.expectGone();
	assert.equal((await pollux.accessed({ tunnel: true })).reason, 'tunnel-cut');
});

// Backends.

async function tlsBackend(t, { names = ['app.example', '127.0.0.1'], backend: options = {}, tls: tlsOptions = {},
	authority = new Authority(t), trusts = authority } = {}) {
	const certificate = authority.issue(names);
	const backend = await RawBackend.start(t, {
		tls: { cert: certificate.certText, key: certificate.keyText, ...tlsOptions },
	});
	const pollux = await Pollux.start(t, {
		backend: { servers: [backend], tls: true, tls_ca: trusts?.file, ...options },
		route: { forwarded: 'off' },
	});
	const client = await connect(t, pollux);
	return { authority, backend, pollux, client };
}

for (const [name, version] of VERSIONS) {
	test(`a request to a backend over ${name}, its connection used again`, async (t) => {
		const { backend, client } = await tlsBackend(t, { tls: version });

		client.send(get('/1'));
		const conn = await backend.accept();
		await conn.expect(forwardedGet('/1'));
		conn.send(ok('one'));
		await client.expect(passedOk('one'));
		client.send(get('/2'));
		await conn.expect(forwardedGet('/2'));
		conn.send(ok('two'));
		await client.expect(passedOk('two'));
		assert.equal(conn.socket.getProtocol(), name.replace(' ', 'v'));
	});
}

async function isRefused({ backend, pollux, client }, why) {
	client.send(get());
	await client.expect(page('backend-tls'));
	assert.equal((await pollux.accessed()).reason, 'backend-tls');
	await pollux.logged(why);
	assert.equal(backend.heard, '');
}

test('a backend whose authority is unknown is refused', async (t) => {
	await isRefused(await tlsBackend(t, { trusts: null }), /backend-tls: .*(issuer|self.signed|certificate)/i);
});

test('a backend of another authority is refused', async (t) => {
	await isRefused(await tlsBackend(t, { trusts: new Authority(t, 'Other') }), /backend-tls: .*certificate/i);
});

test('a backend whose certificate is for another name is refused', async (t) => {
	await isRefused(await tlsBackend(t, { names: ['other.example', '127.0.0.2'] }), /backend-tls: .*mismatch/i);
	await isRefused(await tlsBackend(t, { backend: { tls_server_name: 'wrong.example' } }), /backend-tls: .*mismatch/i);
});

test('a backend whose certificate has expired is refused', async (t) => {
	const authority = new Authority(t);
	const certificate = authority.issue(['127.0.0.1'], { days: -1 });
	await isRefused(await tlsBackend(t, {
		authority,
		tls: { cert: certificate.certText, key: certificate.keyText },
	}), /backend-tls: .*expired/i);
});

test('a backend that speaks no TLS: 502', async (t) => {
	const { backend, pollux, client } = await stage(t, { backend: { tls: true, tls_verify: false } });

	client.send(get());
	const conn = await backend.accept();
	await conn.readSome();
	conn.send('HTTP/1.1 400 Bad Request\r\n\r\n').end();
	await client.expect(page('backend-tls'));
	assert.equal((await pollux.accessed()).reason, 'backend-tls');
});

test('tls_verify = no takes anybody', async (t) => {
	const { backend, client } = await tlsBackend(t, { trusts: null, backend: { tls_verify: false } });

	backend.serve();
	await isServed(client);
});

test('a name is sent as SNI and verified, an address is not sent', async (t) => {
	const authority = new Authority(t);
	const certificate = authority.issue(['app.example', 'localhost', '127.0.0.1']);
	const names = [];
	const backend = await RawBackend.start(t, {
		tls: {
			cert: certificate.certText,
			key: certificate.keyText,
			SNICallback: (name, done) => {
				names.push(name);
				done(null, tls.createSecureContext({ cert: certificate.certText, key: certificate.keyText }));
			},
		},
	});
	const common = { tls: true, tls_ca: authority.file };
	const pollux = await Pollux.start(t, {
		backends: {
			named: { servers: [`localhost:${backend.port}`], ...common },
			told: { servers: [backend], tls_server_name: 'app.example', ...common },
			address: { servers: [backend], ...common },
		},
		route: ['named', 'told', 'address'].map((name) => ({ path: `/${name}`, backend: name })),
	});
	const client = await connect(t, pollux);

	backend.serve();
	for (const name of ['named', 'told', 'address']) {
		client.send(get(`/${name}`));
		assert.equal((await client.readResponse()).status, 200);
	}
	assert.deepEqual(names, ['localhost', 'app.example']);
});

test('our own client certificate is shown to a backend that asks', async (t) => {
	const authority = new Authority(t);
	const ours = authority.issue(['pollux']);
	const { backend, client } = await tlsBackend(t, {
		authority,
		tls: { requestCert: true, rejectUnauthorized: true, ca: authority.certificate },
		backend: { tls_certificate: ours.cert, tls_certificate_key: ours.key },
	});

	client.send(get());
	const conn = await backend.accept();
	assert.equal(conn.socket.getPeerCertificate().subject.CN, 'pollux');
	await conn.readRequest();
	conn.send(ok());
	await client.expect(passedOk());
});

for (const [name, version] of VERSIONS) {
	test(`a session with a backend is resumed (${name})`, async (t) => {
		const { backend, client } = await tlsBackend(t, { tls: version, backend: { keepalive: false } });

		for (const isReused of [false, true]) {
			client.send(get());
			const conn = await backend.accept();
			await conn.readRequest();
			assert.equal(conn.socket.isSessionReused(), isReused);
			conn.send(ok());
			await client.expect(passedOk());
		}
	});
}

test('a response from TLS that ends without close_notify is cut, with it is whole', async (t) => {
	const { authority, backend } = await tlsBackend(t, { tls: V12 });
	const tap = await Tap.start(t, { host: '127.0.0.1', port: backend.port });
	const pollux = await Pollux.start(t, {
		backend: { servers: [tap], tls: true, tls_ca: authority.file },
	});
	const client = await connect(t, pollux);

	client.send(get('/whole'));
	const whole = await backend.accept();
	await whole.readRequest();
	whole.send('HTTP/1.1 200 OK\r\n\r\nhello').end();
	assert.equal((await client.readResponse()).body.toString(), 'hello');
	await tap.accept();

	client.send(get('/cut'));
	const conn = await backend.accept();
	const tapConn = await tap.accept();
	await conn.readRequest();
	conn.send('HTTP/1.1 200 OK\r\n\r\nhello');
	await client.readHead();
	await client.readUntil('5\r\nhello\r\n');
	tapConn.cut();
	await client.expectGone();
	assert.equal(client.peek().toString('latin1'), '');
	assert.equal((await pollux.accessed({ target: '/cut' })).reason, 'backend-cut');
});

test('close_notify is sent to a backend before the end', async (t) => {
	const authority = new Authority(t);
	const certificate = authority.issue(['127.0.0.1']);
	const backend = await RawBackend.start(t, {
		tls: { cert: certificate.certText, key: certificate.keyText, ...V12 },
	});
	const tap = await Tap.start(t, { host: '127.0.0.1', port: backend.port });
	const pollux = await Pollux.start(t, {
		backend: { servers: [tap], tls: true, tls_ca: authority.file, keepalive: false },
	});
	const client = await connect(t, pollux);

	backend.serve();
	client.send(get());
	await client.readResponse();
	const tapConn = await tap.accept();
	await tapConn.until(() => tapConn.toServer.hasEnded || tapConn.isOver, 'the end from Pollux');
	assert.equal(tapConn.toServer.records.types.at(-1), 'alert');
});

test('a certificate that cannot be read is said at the start', async (t) => {
	const backend = await RawBackend.start(t);

	await assert.rejects(Pollux.start(t, { backend, listen: { certificates: ['missing.pem'] } }),
		/pollux left with 1;[^]*missing\.pem/);
});
