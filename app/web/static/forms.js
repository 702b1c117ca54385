// A form with data-answer="ID" is answered in place: the server's page is fetched, and what it holds
// in the element of that id takes the place of ours. Without this file the browser loads the page.
"use strict";

const PAGE = { Accept: "text/html" };

function requestOf(form, button) {
  const fields = new URLSearchParams(new FormData(form));
  if (button && button.name) fields.append(button.name, button.value);
  const address = new URL(form.getAttribute("action"), location.href);
  if (form.method === "post") return [address, { method: "POST", headers: PAGE, body: fields }];
  address.search = fields;
  return [address, { headers: PAGE }];
}

// Faults are marked at the fields; what was typed in the meantime stays.
function markFaults(form, page) {
  for (const field of form.querySelectorAll("input, select")) {
    const fresh = page.getElementById(field.id);
    if (!fresh) continue;
    for (const name of ["aria-invalid", "aria-describedby"]) {
      if (fresh.hasAttribute(name)) field.setAttribute(name, fresh.getAttribute(name));
      else field.removeAttribute(name);
    }
    const told = field.parentElement.querySelector(".error");
    if (told) told.remove();
    const tells = fresh.parentElement.querySelector(".error");
    if (tells) field.parentElement.append(document.importNode(tells, true));
  }
}

// What a screen reader says must change within an element that stays.
function replaceAnswer(id, page) {
  const [ours, fresh] = [document.getElementById(id), page.getElementById(id)];
  const [voice, words] = [ours, fresh].map((at) => at.querySelector("[role=status]"));
  for (const child of [...ours.children]) if (child !== voice) child.remove();
  voice.textContent = words.textContent;
  for (const child of [...fresh.children]) {
    if (child !== words) ours.append(document.importNode(child, true));
  }
}

async function pageOf(address, request, id) {
  const response = await fetch(address, request);
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  if (!page.getElementById(id)) throw new Error(page.title || `status ${response.status}`);
  return page;
}

// A button with data-swap="ID" changes a part of its form.
async function swapPart(form, button) {
  const id = button.dataset.swap;
  const page = await pageOf(...requestOf(form, button), id);
  const part = document.getElementById(id);
  part.replaceChildren(...document.importNode(page.getElementById(id), true).childNodes);
  const next = part.querySelector("[autofocus]") || form.querySelector(".buttons button");
  next.focus();
}

async function answerInPlace(event) {
  const form = event.target;
  event.preventDefault();
  if (event.submitter && event.submitter.dataset.swap) {
    swapPart(form, event.submitter).catch(() => {
      form.removeEventListener("submit", answerInPlace);
      form.requestSubmit(event.submitter); // as the browser does it: with what the button says
    });
    return;
  }
  const id = form.dataset.answer;
  const place = document.getElementById(id);
  const [address, request] = requestOf(form, event.submitter);
  place.setAttribute("aria-busy", "true");
  try {
    const page = await pageOf(address, request, id);
    markFaults(form, page);
    replaceAnswer(id, page);
    if (!request.method) history.replaceState(null, "", address);
    const wrong = form.querySelector("[aria-invalid=true]");
    if (wrong) wrong.focus();
    else place.scrollIntoView({ block: "nearest" });
  } catch (error) {
    const told = document.createElement("p");
    told.className = "error";
    told.textContent = `There is no answer: ${error.message}. Try again.`;
    place.querySelector("[role=status]").textContent = told.textContent;
    place.append(told);
  } finally {
    place.removeAttribute("aria-busy");
  }
}

for (const form of document.querySelectorAll("form[data-answer]")) {
  form.addEventListener("submit", answerInPlace);
  form.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && event.target.id === "expression") event.target.value = "";
  });
}
