// Validate an AsyncAPI document with the project's own parser: node validate_asyncapi.mjs NODE_MODULES DOCUMENT
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const [modules, document] = process.argv.slice(2);
const { Parser } = createRequire(`${modules}/`)("@asyncapi/parser");
const parsed = await new Parser().parse(readFileSync(document, "utf8"));
const errors = parsed.diagnostics.filter((diagnostic) => diagnostic.severity === 0);
for (const error of errors) console.error(error.path.join("."), error.message);
process.exit(parsed.document && errors.length === 0 ? 0 : 1);
