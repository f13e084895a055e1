// Creates an element. Attributes that begin with "on" are listeners; true sets an attribute, false leaves it out.
const make = (name, attributes = {}, ...children) => {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value !== null) element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
};
// a run's label with possible line breaks after brackets and commas
const breakable = name => name.split(/(?<=[[,])(?=\w)/).flatMap((part, i) => i ? [make("wbr"), part] : [part]);
