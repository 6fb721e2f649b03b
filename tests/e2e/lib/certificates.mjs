// Certificates for tests, made with openssl: authorities and what they sign. Keys are P-256, which
// costs some ten milliseconds each.
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { temporaryFolder } from './scope.mjs';

function openssl(folder, ...args) {
	return execFileSync('openssl', args, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
}

function alternativeNames(names) {
	return names
		.map((name) => (/^[0-9.]+$|:/.test(name) ? `IP:${name}` : `DNS:${name}`))
		.join(',');
}

export class Authority {
	#folder;
	#n = 0;

	constructor(owner, name = 'Test authority') {
		this.#folder = temporaryFolder(owner);
		this.file = join(this.#folder, 'ca.crt');
		openssl(this.#folder, 'req', '-x509', '-newkey', 'ec', '-pkeyopt',
			'ec_paramgen_curve:P-256', '-nodes', '-days', '30', '-subj', `/CN=${name}`,
			'-addext', 'basicConstraints=critical,CA:true', '-keyout', 'ca.key', '-out', 'ca.crt');
		this.certificate = readFileSync(this.file);
	}

	/*
	 * A certificate for these names (the first is the subject, too):
	 * { pem, cert, key } are files, { certText, keyText } their text; pem holds both.
	 */
	issue(names, { days = 30, usage = 'serverAuth,clientAuth' } = {}) {
		const id = `leaf${++this.#n}`;
		const file = (suffix) => join(this.#folder, `${id}.${suffix}`);
		openssl(this.#folder, 'req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256',
			'-nodes', '-subj', `/CN=${names[0]}`, '-keyout', `${id}.key`, '-out', `${id}.csr`);
		writeFileSync(file('ext'), `subjectAltName=${alternativeNames(names)}\n`
			+ `extendedKeyUsage=${usage}\nbasicConstraints=CA:false\n`);
		openssl(this.#folder, 'x509', '-req', '-in', `${id}.csr`, '-CA', 'ca.crt', '-CAkey',
			'ca.key', '-CAcreateserial', '-days', String(days), '-extfile', `${id}.ext`,
			'-out', `${id}.crt`);
		const certText = readFileSync(file('crt'), 'latin1');
		const keyText = readFileSync(file('key'), 'latin1');
		writeFileSync(file('pem'), certText + keyText, { mode: 0o600 });
		return { pem: file('pem'), cert: file('crt'), key: file('key'), certText, keyText };
	}
}
