// Validate the JSON array of Kubernetes objects on stdin against the models; prints a JSON array of what is wrong.
import { readFileSync } from "node:fs";
import * as gateway from "@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1";
import * as serving from "@kubernetes-models/knative/serving.knative.dev/v1";
import * as domains from "@kubernetes-models/knative/serving.knative.dev/v1beta1";
import * as sources from "@kubernetes-models/knative/sources.knative.dev/v1";

const groups = {
  "gateway.networking.k8s.io/v1": gateway,
  "serving.knative.dev/v1": serving,
  "serving.knative.dev/v1beta1": domains,
  "sources.knative.dev/v1": sources,
};
const wrong = [];
for (const object of JSON.parse(readFileSync(0, "utf8"))) {
  const model = (groups[object.apiVersion] ?? {})[object.kind];
  if (!model) {
    wrong.push(`no model of ${object.apiVersion} ${object.kind}`);
    continue;
  }
  try {
    new model(object).validate();
  } catch (error) {
    wrong.push(`${object.kind}: ${error.message}`);
  }
}
console.log(JSON.stringify(wrong));
