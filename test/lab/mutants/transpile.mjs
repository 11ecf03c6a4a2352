// transpile.mjs FROM.ts TO.js: one file as the project's compiler writes it, without looking at types.
import { readFileSync, writeFileSync } from 'node:fs';
import ts from 'typescript';

const [from, to] = process.argv.slice(2);
const { outputText } = ts.transpileModule(readFileSync(from, 'utf8'), {
  fileName: from,
  compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022, verbatimModuleSyntax: true },
});
writeFileSync(to, outputText);
