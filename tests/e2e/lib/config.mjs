// The text of a configuration from plain objects:
//
//	{ program: { drain: '1s' },
//	  listens: [{ address: '127.0.0.1:8080', idle_timeout: '1s' }],
//	  backends: [{ name: 'app', servers: ['127.0.0.1:3000'] }],
//	  routes: [{ path: '/', backend: 'app', poll: { path: '/news' } }] }
//
// An object within a section is a section of its own.

function quoted(text) {
	return `"${String(text).replace(/[\\"]/g, '\\$&')}"`;
}

function value(given) {
	if (Array.isArray(given))
		return `{${given.map(quoted).join(', ')}}`;
	if (typeof given === 'boolean')
		return given ? 'yes' : 'no';
	return typeof given === 'number' ? String(given) : quoted(given);
}

function optionText(name, given, indent) {
	if (typeof given === 'object' && !Array.isArray(given))
		return `${indent}${name} {\n${options(given, `${indent}\t`)}${indent}}\n`;
	return `${indent}${name} = ${value(given)}\n`;
}

function options(given, indent = '') {
	return Object.entries(given)
		.filter(([, option]) => option !== undefined)
		.map(([name, option]) => optionText(name, option, indent))
		.join('');
}

function section(kind, title, given) {
	return `${kind} ${quoted(title)} {\n${options(given, '\t')}}\n`;
}

export function configText({ program = {}, listens, backends, routes }) {
	const text = [options(program)];
	for (const { address, ...rest } of listens)
		text.push(section('listen', address, rest));
	for (const { name, ...rest } of backends)
		text.push(section('backend', name, rest));
	for (const { path, ...rest } of routes)
		text.push(section('route', path, rest));
	return text.join('\n');
}
