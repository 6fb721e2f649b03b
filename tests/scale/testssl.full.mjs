// What testssl.sh has to say about a listener: nothing, but that nobody vouches for the certificate.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { ExpressBackend } from '../e2e/lib/backends.mjs';
import { Pollux } from '../e2e/lib/pollux.mjs';
import { atEnd, temporaryFolder } from '../e2e/lib/scope.mjs';
import { within } from '../e2e/lib/wait.mjs';

const PATIENCE_MS = 600_000;
const HARMLESS = ['OK', 'INFO', 'DEBUG'];

// The name of the program: Debian calls it testssl.
const program = ['testssl', 'testssl.sh'].find((name) => {
	try {
		execFileSync(name, ['--version'], { stdio: 'ignore' });
		return true;
	} catch {
		return false;
	}
});
const skip = program === undefined && 'there is no testssl.sh (Debian: testssl.sh)';

// Self-signed, and otherwise as an authority would make it.
function makeCertificate(folder, keyType) {
	const file = (name) => join(folder, name);
	execFileSync('openssl', ['req', '-x509', '-newkey', ...keyType, '-nodes', '-days', '365',
		'-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost',
		'-addext', 'basicConstraints=critical,CA:false', '-addext', 'extendedKeyUsage=serverAuth',
		'-addext', 'crlDistributionPoints=URI:http://localhost/crl',
		'-keyout', file('key'), '-out', file('cert')], { stdio: 'ignore' });
	writeFileSync(file('pem'), readFileSync(file('cert'), 'latin1') + readFileSync(file('key'), 'latin1'));
	return file('pem');
}

// An app that says what an app has to say on https.
function startApp(t) {
	return ExpressBackend.start(t, (app) => app.get('/', (_, response) => response.set({
		'strict-transport-security': 'max-age=31536000; includeSubDomains',
		'content-security-policy': "default-src 'self'",
		'x-content-type-options': 'nosniff',
		'x-frame-options': 'DENY',
		'referrer-policy': 'no-referrer',
	}).send('ok')));
}

async function findings(t, folder, port) {
	const report = join(folder, 'report.json');
	const child = spawn(program, ['--quiet', '--color', '0', '--warnings', 'off', '--nodns', 'none',
		'--jsonfile', report, `localhost:${port}`], { stdio: 'ignore' });
	atEnd(t, () => child.kill());
	await within(new Promise((done) => child.once('close', done)), program, PATIENCE_MS);
	return JSON.parse(readFileSync(report, 'latin1'));
}

for (const [name, keyType] of [
	['a P-256 key', ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256']],
	['an RSA key', ['rsa:2048']],
]) {
	test(`testssl.sh finds nothing wrong with a listener with ${name}`, { skip }, async (t) => {
		const folder = temporaryFolder(t);
		const pollux = await Pollux.start(t, {
			backend: { servers: [await startApp(t)] },
			listen: { certificates: [makeCertificate(folder, keyType)] },
		});
		const found = await findings(t, folder, pollux.port);
		t.diagnostic(`${found.length} findings`);
		assert.ok(found.length > 100, 'it did not get far');
		const bad = found.filter(({ severity }) => !HARMLESS.includes(severity));
		assert.deepEqual(bad.map(({ id, finding }) => `${id}: ${finding}`),
			['cert_chain_of_trust: failed (self signed).']);
	});
}
