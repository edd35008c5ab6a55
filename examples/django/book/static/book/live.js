const list = document.getElementById("events");
const source = new EventSource(list.dataset.source);
source.onmessage = (event) => {
  const line = document.createElement("li");
  line.textContent = event.data;
  list.prepend(line);
  while (list.children.length > 20) list.lastChild.remove();
};
