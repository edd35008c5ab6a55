// Package esi reads Edge Side Includes (the W3C note "ESI Language Specification 1.0") out of a page that streams by:
// Parser turns bytes, cut anywhere, into text to pass on, fragments to include and the blocks of try; Assembly decides
// what of that reaches the client when fragments fail; Resolve says which address a fragment has and whether it may be
// asked for. All of it is pure: it fetches nothing, waits for nothing and has no clock. The edge drives it.
//
// # What is understood
//
//	<esi:include src="…" alt="…" onerror="continue" maxwait="ms"/>   a fragment; src and alt with XML's entities
//	<esi:remove>…</esi:remove>                                        dropped with all that is in it
//	<esi:comment text="…"/>                                           dropped
//	<!--esi … -->                                                     its inside is processed, its ends are dropped
//	<esi:try><esi:attempt>…</esi:attempt><esi:except>…</esi:except></esi:try>, nested
//
// # What is not an instruction is text
//
// A page is never refused for what it contains. Markup that cannot be read as an instruction (malformed, too long, an
// end without its beginning) is passed on byte for byte and counted as a warning. Where the note leaves a choice, weir
// does what Varnish does, so that a page moves over unchanged:
//
//   - Other esi: elements (choose, when, vars, inline, …) lose their tags and keep their inside.
//   - Names are case sensitive, as XML's are. <ESI:include> is text, with a warning.
//   - Nothing is looked for in an HTML comment and in a CDATA section. A comment cannot hold another: the first -->
//     closes <!--esi and what was opened in it alike, as it does for a browser that gets the page unprocessed.
//   - A fragment without the final "/" is included all the same; </esi:include> is dropped.
//   - Scripts, styles and the values of attributes are text like any other: <esi:include/> works in them. (Varnish
//     needs its feature esi_ignore_other_elements for that, and esi_disable_xml_check for pages that do not begin with
//     "<". Both are always on here: JSON and scripts made of fragments are common.)
package esi
