// Validates KEDA's resources strictly with the validators of the npm package @kubernetes-models/keda.
//
//   node keda_schema.mjs FOLDER    reads a JSON array of documents, writes an array with the faults of each
//
// FOLDER contains node_modules. The validators ignore unknown fields. But they read each field that they know, so a
// field that no validator has read is unknown.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const KINDS = ["ScaledObject", "TriggerAuthentication"];
const schemas = join(process.argv[2], "node_modules/@kubernetes-models/keda/_schemas");

async function validatorOf(kind) {
  const file = join(schemas, `ComGithubKedacoreKedaV2ApisKedaV1alpha1${kind}.js`);
  return (await import(pathToFileURL(file).href)).validate;
}

// A view of a document that records which fields are read, by their paths.
function recorded(value, path, read) {
  if (value === null || typeof value !== "object") return value;
  return new Proxy(value, {
    get(target, key) {
      if (typeof key !== "string" || !Object.hasOwn(target, key) || (Array.isArray(target) && key === "length")) {
        return target[key];
      }
      const inner = `${path}/${key}`;
      read.add(inner);
      return recorded(target[key], inner, read);
    },
  });
}

function unreadFields(value, path, read) {
  if (value === null || typeof value !== "object") return [];
  return Object.entries(value).flatMap(([key, inner]) => {
    const innerPath = `${path}/${key}`;
    return read.has(innerPath) ? unreadFields(inner, innerPath, read) : [`${innerPath}: unknown field`];
  });
}

async function faultsOf(document) {
  if (!KINDS.includes(document.kind) || document.apiVersion !== "keda.sh/v1alpha1") {
    return [`no schema for ${document.apiVersion} ${document.kind}`];
  }
  const validate = await validatorOf(document.kind);
  const read = new Set();
  if (!validate(recorded(document, "", read))) {
    return validate.errors.map((error) => `${error.instancePath}: ${error.keyword} ${JSON.stringify(error.params)}`);
  }
  return unreadFields(document, "", read);
}

const documents = JSON.parse(readFileSync(0, "utf8"));
const faults = [];
for (const document of documents) faults.push(await faultsOf(document));
process.stdout.write(JSON.stringify(faults));
