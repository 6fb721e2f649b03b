// HTTP/2 with clients that people have: curl, nghttp, h2load, undici. Node's own is in all other tests.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import * as undici from 'undici';

import { hashOf, patterned } from './lib/app.mjs';
import { curl } from './lib/curl.mjs';
import { answer } from './lib/dual_app.mjs';
import { LINKS, certificates, linked } from './lib/h2_stage.mjs';
import { run, without } from './lib/programs.mjs';
import { atEnd, temporaryFolder } from './lib/scope.mjs';

const MIB = 1024 * 1024;
const WITHOUT_NGHTTP = without('nghttp', 'nghttp2-client');
const WITHOUT_H2LOAD = without('h2load', 'nghttp2-client');

function sha256(bytes) {
	return createHash('sha256').update(bytes).digest('hex');
}

async function start(t, link, options = {}) {
	const stage = await linked(t, link, { server: { answer }, ...options });
	const scheme = link.isTls ? 'https' : 'http';
	stage.url = (path) => stage.pollux.url(path, { scheme, host: 'localhost' });
	stage.file = join(temporaryFolder(t), 'file.bin');
	stage.bytes = randomBytes(5 * MIB);
	writeFileSync(stage.file, stage.bytes);
	return stage;
}

for (const link of LINKS) {
	test(`curl, ${link.name}`, async (t) => {
		const stage = await start(t, link);
		const { url } = stage;
		const version = link.isTls
			? ['--http2', '--cacert', certificates().caFile]
			: ['--http2-prior-knowledge'];
		const ask = async (...args) => {
			const got = await curl(t, [...version, ...args]);
			assert.equal(got.code, 0, got.errors);
			got.facts.forEach((fact) => assert.equal(fact.http_version, 2));
			return got;
		};

		await t.test('GET and HEAD', async () => {
			assert.equal((await ask(url('/hello'))).body.toString(), 'hello\n');
			const { heads } = await ask('-I', url('/sized'));
			assert.equal(heads[0].line, 'HTTP/2 200 ');
			assert.equal(heads[0].get('content-length'), '5');
		});

		await t.test('uploads: with a length, without one, with Expect', async () => {
			for (const args of [['-T', stage.file], ['-T', '-'], ['-T', stage.file, '-H', 'Expect: 100-continue']]) {
				const got = await curl(t, [...version, ...args, url('/hash')], { input: stage.bytes });
				assert.equal(got.code, 0, got.errors);
				assert.equal(got.body.toString(), sha256(stage.bytes), args.join(' '));
			}
		});

		await t.test('a large download', async () => {
			const { body } = await ask(url('/bytes'));
			assert.equal(sha256(body), await hashOf(patterned(20 * MIB)));
		});

		await t.test('early hints, and trailers', async () => {
			const hints = await ask(url('/hints'));
			assert.deepEqual(hints.heads.map(({ line }) => line.trim()),
				['HTTP/2 103', 'HTTP/2 103', 'HTTP/2 200']);
			// The trailers stand among the heads, without the empty line that ends those.
			const { code, output } = await run(t, 'curl', ['-q', '-sS', ...version, '-D', '-',
				'-H', 'TE: trailers', url('/trailers')]);
			assert.equal(code, 0);
			assert.match(output, /^HTTP\/2 200 \r\n[^]*\r\n\r\nwith trailers \{\}x-sum: abc\r\nx-more: 1\r\n/);
		});

		// Debian 12's curl cannot use a connection by prior knowledge twice, whatever the server.
		if (!link.isTls)
			return;

		await t.test('a redirect of a POST', async () => {
			const { body } = await ask('-L', '-d', 'a=1&b=2', url('/moved'));
			assert.equal(body.toString(), sha256('a=1&b=2'));
		});

		await t.test('many requests at once on one connection', async () => {
			const many = Array.from({ length: 30 }, () => ['-o', '/dev/null', url('/hello')]).flat();
			const { facts } = await ask('--no-progress-meter', '--parallel', '--parallel-max', '30', ...many);
			assert.equal(facts.length, 30);
			assert.ok(facts.every(({ http_code: code }) => code === 200));
			assert.equal(facts.reduce((sum, { num_connects: n }) => sum + n, 0), 1);
		});
	});

	test(`nghttp, ${link.name}`, { skip: WITHOUT_NGHTTP }, async (t) => {
		const stage = await start(t, link);
		const nghttp = async (...args) => {
			const got = await run(t, 'nghttp', args);
			assert.equal(got.code, 0, got.errors);
			return got.output;
		};

		await t.test('what it is offered, and what it gets', async () => {
			const seen = await nghttp('-nv', stage.url('/hello'));
			assert.match(seen, /SETTINGS_ENABLE_CONNECT_PROTOCOL\(0x08\):1/);
			assert.match(seen, /SETTINGS_MAX_CONCURRENT_STREAMS\(0x03\):100/);
			assert.match(seen, /recv \(stream_id=\d+\) :status: 200/);
			if (link.protocol === 'http/1.1')
				assert.match(seen, /recv DATA frame <length=6, flags=0x01/, 'END_STREAM is on the last byte');
		});

		await t.test('padding, CONTINUATION, trailers and Expect', async () => {
			const body = await nghttp('-b', '200', '--continuation', '--trailer', 'x-t: 1', '--expect-continue',
				'-d', stage.file, stage.url('/hash'));
			assert.equal(body, sha256(stage.bytes));
		});

		await t.test('small windows', async () => {
			const body = await nghttp('-w', '10', '-W', '10', '-d', stage.file, stage.url('/hash'));
			assert.equal(body, sha256(stage.bytes));
		});

		await t.test('two hundred at once: the limit of streams is kept, all are answered', async () => {
			const seen = await nghttp('-nv', '-m', '200', stage.url('/hello'));
			assert.equal(seen.match(/:status: 200/g).length, 200);
		});
	});

	test(`h2load, ${link.name}`, { skip: WITHOUT_H2LOAD }, async (t) => {
		// A thousand handshakes of TLS at once are a backend's work for a while.
		const stage = await start(t, link, { backend: { connect_timeout: '60s' } });
		for (const [n, args] of [
			[3000, ['-c', '10', '-m', '100', stage.url('/hello')]],
			[30, ['-c', '3', '-m', '10', '-d', stage.file, stage.url('/hash')]],
		]) {
			const { code, output, errors } = await run(t, 'h2load', ['-n', String(n), ...args]);
			assert.equal(code, 0, errors);
			assert.match(output, new RegExp(`${n} total, ${n} started, ${n} done, `
				+ `${n} succeeded, 0 failed, 0 errored, 0 timeout`));
			assert.match(output, new RegExp(`status codes: ${n} 2xx, 0 3xx, 0 4xx, 0 5xx`));
		}
		if (link.protocol === 'h2') {
			const { length } = stage.backend.sockets;
			assert.ok(length <= 10, `${length} connections to the backend for 1000 requests at a time`);
		}
	});
}

for (const link of LINKS.filter(({ isTls }) => isTls)) {
	test(`undici, ${link.name}`, async (t) => {
		const stage = await start(t, link);
		const dispatcher = new undici.Agent({ allowH2: true, connect: { ca: stage.ca } });
		atEnd(t, () => dispatcher.destroy());

		await t.test('fetch', async () => {
			const facts = await undici.fetch(stage.url('/facts'), { dispatcher, headers: { 'x-own': '1' } });
			const { method, headers } = await facts.json();
			assert.deepEqual([method, headers['x-own']], ['GET', '1']);
			assert.match((await stage.pollux.accessed({ target: '/facts' })).version, /^2/);
			const sent = await undici.fetch(stage.url('/hash'), { dispatcher, method: 'PUT', body: stage.bytes });
			assert.equal(await sent.text(), sha256(stage.bytes));
		});

		await t.test('a body that is made as it goes', async () => {
			async function* parts() {
				for (let at = 0; at < stage.bytes.length; at += 100_000)
					yield stage.bytes.subarray(at, at + 100_000);
			}
			const { body } = await undici.request(stage.url('/hash'), { dispatcher, method: 'PUT', body: parts() });
			assert.equal(await body.text(), sha256(stage.bytes));
		});

		await t.test('many at once', async () => {
			const all = await Promise.all(Array.from({ length: 60 }, async () => {
				const response = await undici.fetch(stage.url('/hello'), { dispatcher });
				return response.text();
			}));
			assert.ok(all.every((text) => text === 'hello\n'));
		});

		await t.test('it leaves in the middle', async () => {
			const control = new AbortController();
			const asked = undici.fetch(stage.url('/never'), { dispatcher, signal: control.signal });
			await stage.backend.until(() => stage.backend.requests.some(({ target }) => target === '/never'),
				'the request');
			control.abort();
			await assert.rejects(asked, { name: 'AbortError' });
			assert.equal((await stage.pollux.accessed({ target: '/never' })).reason, 'client-gone');
		});
	});
}
