// What clients may not do in TLS, and what Pollux does not offer.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import test from 'node:test';

import { Authority } from './lib/certificates.mjs';
import { OpensslClient, clientHello, readServerHello } from './lib/openssl.mjs';
import { Pollux } from './lib/pollux.mjs';
import { RawBackend } from './lib/raw_backend.mjs';
import { temporaryFolder } from './lib/scope.mjs';
import { connect, forwardedGet, get, passedOk } from './lib/stage.mjs';

async function start(t, listen = {}) {
	const certificate = new Authority(t).issue(['a']);
	const backend = (await RawBackend.start(t)).serve();
	const pollux = await Pollux.start(t, {
		backend,
		route: { forwarded: 'off' },
		listen: { certificates: [certificate.pem], ...listen },
	});
	return { backend, pollux };
}

// The handshakes of others go on as before.
async function othersAreServed(t, pollux) {
	const client = await connect(t, pollux, { tls: {} });
	client.send(get());
	await client.expect(passedOk());
}

test('a renegotiation is refused and ends the connection', async (t) => {
	const { backend, pollux } = await start(t);
	const client = OpensslClient.start(t, pollux.where(), '-tls1_2');

	await client.shows('Verify return code');
	client.send('GET /before HTTP/1.1\r\nHost: a\r\n\r\n');
	await client.shows('HTTP/1.1 200 OK');
	await client.command('R', 'RENEGOTIATING');
	client.send('GET /after HTTP/1.1\r\nHost: a\r\n\r\n');
	await client.left();
	assert.equal(client.count('HTTP/1.1 200 OK'), 1);
	await othersAreServed(t, pollux);
	assert.equal(backend.heard, forwardedGet('/before') + forwardedGet());
});

test('a renegotiation in the middle of a request is refused, and the request is not completed', async (t) => {
	const { backend, pollux } = await start(t);
	const client = OpensslClient.start(t, pollux.where(), '-tls1_2');

	await client.shows('Verify return code');
	client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf');
	await backend.until(() => backend.heard.endsWith('half'), 'half a request');
	await client.command('R', 'RENEGOTIATING');
	await client.left();
	const entry = await pollux.accessed();
	assert.equal(entry.reason, 'client-gone');
	await othersAreServed(t, pollux);
});

test('secure renegotiation is announced, so that strict clients connect', async (t) => {
	const { pollux } = await start(t);
	const client = OpensslClient.start(t, pollux.where(), '-tls1_2');

	await client.shows('Secure Renegotiation IS supported');
});

for (const letter of ['k', 'K']) {
	const what = letter === 'k' ? 'key updates' : 'key updates that ask for one in return';

	test(`a few ${what} are taken, a flood ends the connection`, async (t) => {
		const { pollux } = await start(t);
		const client = OpensslClient.start(t, pollux.where(), '-tls1_3');

		await client.shows('Verify return code');
		for (let n = 1; n <= 5; n++)
			await client.command(letter, 'KEYUPDATE', n);
		client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
		await client.shows('HTTP/1.1 200 OK');
		let n = 5;
		while (client.exit === undefined && n < 500)
			await client.command(letter, 'KEYUPDATE', ++n).catch(() => {});
		await client.left();
		assert.ok(n >= 16 && n < 200, `ended after ${n}`);
		await othersAreServed(t, pollux);
	});
}

test('no compression, even if it is asked for', async (t) => {
	const { pollux } = await start(t);

	for (const compression of [[1, 0], [0, 1], [0]]) {
		const client = await connect(t, pollux);
		client.send(clientHello({ compression }));
		assert.deepEqual(await readServerHello(client), { version: 0x0303, cipher: 0xc02b, compression: 0 });
	}
	const only = await connect(t, pollux);
	only.send(clientHello({ compression: [1] }));
	assert.ok((await readServerHello(only)).isFatal);
});

for (const [name, version, alert] of [
	['SSL 3', 0x0300, 'handshake_failure'], // in the words of its time
	['TLS 1.0', 0x0301, 'protocol_version'],
	['TLS 1.1', 0x0302, 'protocol_version'],
]) {
	test(`${name} is refused`, async (t) => {
		const { pollux } = await start(t);
		const client = await connect(t, pollux);

		client.send(clientHello({ version }));
		assert.deepEqual(await readServerHello(client), { alert, isFatal: true });
		await client.expectGone();
	});
}

for (const [name, cipher] of [['RSA key exchange', 0x009c], ['CBC', 0xc009], ['RC4', 0xc007],
	['3DES', 0xc008], ['NULL', 0xc006], ['no authentication', 0xc018], ['a finite field', 0x009e]]) {
	test(`ciphers: ${name} is refused`, async (t) => {
		const { pollux } = await start(t);
		const client = await connect(t, pollux);

		client.send(clientHello({ ciphers: [cipher] }));
		assert.deepEqual(await readServerHello(client), { alert: 'handshake_failure', isFatal: true });
		await client.expectGone();
	});
}

test('ALPN is strict: a client that offers only other protocols is refused', async (t) => {
	const { backend, pollux } = await start(t);
	const refusal = { alert: 'no_application_protocol', isFatal: true };

	for (const alpn of [['h2c'], ['ftp', 'smtp', 'imap'], ['http/0.9'], ['HTTP/1.1'], ['http/1.1x']]) {
		const client = await connect(t, pollux);
		client.send(clientHello({ alpn }));
		assert.deepEqual(await readServerHello(client), refusal, alpn.join());
		await client.expectGone();
		for (const version of ['TLSv1.2', 'TLSv1.3']) {
			await assert.rejects(connect(t, pollux,
				{ tls: { ALPNProtocols: alpn, minVersion: version, maxVersion: version } }));
		}
	}
	assert.equal(backend.conns.length, 0);
	for (const ALPNProtocols of [['spdy/3.1', 'http/1.1'], ['http/1.1'], undefined]) {
		const client = await connect(t, pollux, { tls: { ALPNProtocols } });
		assert.equal(client.socket.alpnProtocol, ALPNProtocols ? 'http/1.1' : false);
		client.send(get());
		await client.expect(passedOk());
	}
});

test('tickets allow no early data, and none is taken', async (t) => {
	const { backend, pollux } = await start(t);
	const session = join(temporaryFolder(t), 'session.pem');
	const first = OpensslClient.start(t, pollux.where(), '-tls1_3', '-sess_out', session);

	await first.shows('Verify return code');
	first.send('GET /first HTTP/1.1\r\nHost: a\r\n\r\n');
	await first.shows('HTTP/1.1 200 OK');
	first.send('Q\n');
	await first.left();
	assert.match(first.output, /Max Early Data: 0\n/);
	const request = join(pollux.folder, 'pollux.conf'); // any file will do
	const second = OpensslClient.start(t, pollux.where(), '-tls1_3', '-sess_in', session, '-early_data', request);
	await second.shows('Verify return code');
	assert.match(second.output, /Early data was (not sent|rejected)/);
	assert.equal(backend.heard, forwardedGet('/first'));
});

test('junk instead of a handshake ends that connection alone', async (t) => {
	const { backend, pollux } = await start(t);
	const good = clientHello();

	for (const junk of ['\0'.repeat(100), '\x16\x03\x01\xff\xff', '\x15\x03\x03\x00\x02\x02\x28', '\x17\x03\x03\x00\x01x',
		'\x80\x2e\x01\x00\x02', good.subarray(0, 20).toString('latin1'), `${good.toString('latin1')}GET / HTTP/1.1\r\n`]) {
		const client = await connect(t, pollux);
		client.send(junk).end();
		await client.expectGone();
	}
	await othersAreServed(t, pollux);
	assert.equal(backend.heard, forwardedGet());
});
