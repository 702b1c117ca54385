// "Try it here" in the documents: sends what the form says and shows what comes back.
"use strict";

function requestOf(form) {
  let path = form.dataset.path;
  const query = new URLSearchParams();
  for (const field of form.querySelectorAll("[data-place]")) {
    if (field.dataset.place === "path") path = path.replace(`{${field.name}}`, encodeURIComponent(field.value));
    else if (field.value) query.set(field.name, field.value);
  }
  const body = form.querySelector("textarea");
  const headers = { Accept: "application/json, text/plain;q=0.9, */*;q=0.5" };
  if (body) headers["Content-Type"] = "application/json";
  return [query.size ? `${path}?${query}` : path, { method: form.dataset.method, headers, body: body?.value }];
}

function readable(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

async function send(event) {
  event.preventDefault();
  const form = event.target;
  const [said, shown] = [form.querySelector("[role=status]"), form.querySelector("pre")];
  const begun = performance.now();
  try {
    const response = await fetch(...requestOf(form));
    const text = await response.text();
    said.textContent = `${response.status} ${response.statusText} in ${Math.round(performance.now() - begun)} ms`;
    shown.textContent = readable(text);
    shown.hidden = false;
  } catch (error) {
    said.textContent = `There is no answer: ${error.message}`;
  }
}

for (const tried of document.querySelectorAll(".try")) {
  tried.hidden = false;
  tried.querySelector("form").addEventListener("submit", send);
}
