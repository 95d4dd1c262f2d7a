/* The style sheet of reports, in pieces: a C99 compiler need not support strings above 4095
 * bytes. */
#ifndef DFQ_TOOLS_REPORT_STYLE_H
#define DFQ_TOOLS_REPORT_STYLE_H

/* Two palettes, one layout. Series colours keep 3:1 against their card in either palette. */
static const char *const report_style[] = {
    ":root{color-scheme:light dark;--page:#f4f5f7;--card:#fff;--ink:#1b1f27;--soft:#5d6675;"
    "--hair:#e1e4ea;--rest:#eceef2;--accent:#2563c9;--weak:#c2410c;--c0:#2563c9;--c1:#d9480f;"
    "--c2:#0f8a5f;--c3:#9333c9;--c4:#a16a00;--c5:#c2255c}\n",
    "@media(prefers-color-scheme:dark){:root{--page:#12151b;--card:#1b2029;--ink:#e6e9ef;"
    "--soft:#9aa4b4;--hair:#2c333f;--rest:#262d38;--accent:#6ea4f7;--weak:#ff8f57;--c0:#6ea4f7;"
    "--c1:#ff8f57;--c2:#4cc79a;--c3:#c68cf5;--c4:#e3b341;--c5:#f5759f}}\n",
    "*{box-sizing:border-box}html{-webkit-text-size-adjust:100%}\n",
    "body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"
    "'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif;font-variant-numeric:tabular-nums}\n",
    "main{max-width:1120px;margin:0 auto;padding:36px 24px 56px}\n",
    "h1{font-size:28px;line-height:1.2;letter-spacing:-.02em;margin:0}"
    "h2{font-size:19px;letter-spacing:-.01em;margin:40px 0 4px}"
    "h3{font-size:14px;font-weight:600;margin:0 0 6px;overflow-wrap:anywhere}"
    "p{margin:0}.note{color:var(--soft);max-width:72ch;margin-bottom:14px}\n",
    ".chips{display:flex;flex-wrap:wrap;gap:8px;margin:12px 0 24px}.chips span{padding:2px 11px;"
    "border-radius:99px;border:1px solid var(--hair);background:var(--card);font-size:13px;"
    "overflow-wrap:anywhere}\n",
    ".verdict{margin:0 0 24px;max-width:80ch}.verdict p+p{color:var(--soft);margin-top:4px}"
    ".verdict p:first-child{font-size:18px;font-weight:600}"
    "nav ul{list-style:none;display:flex;flex-wrap:wrap;gap:4px 18px;margin:24px 0 0;padding:0;"
    "font-size:13px}nav a{color:var(--accent);text-decoration:none}"
    "nav a:hover{text-decoration:underline}\n",
    ".grid{display:grid;gap:16px;grid-template-columns:repeat(auto-fill,minmax(min(100%,440px),1fr)"
    ")}"
    ".cards{display:grid;gap:16px;grid-template-columns:repeat(auto-fit,minmax(min(100%,230px),1fr)"
    ")}\n",
    ".card{background:var(--card);border:1px solid var(--hair);border-radius:12px;padding:16px "
    "18px;"
    "margin:0;min-width:0}.grid .card:only-child{grid-column:1/-1}.top{align-self:start}\n",
    ".cards h3{color:var(--soft);font-weight:500;font-size:13px;margin:0}"
    ".big{font-size:27px;font-weight:650;letter-spacing:-.02em;line-height:1.35}"
    ".sub{color:var(--soft);font-size:13px}"
    ".meter{display:block;width:100%;height:6px;border-radius:3px;margin:8px 0 6px}\n",
    "img{display:block;max-width:100%;height:auto;border-radius:6px;margin:4px auto 0}"
    ".blocks{image-rendering:pixelated}figcaption{color:var(--soft);font-size:13px;margin-top:8px}"
    "\n",
    "figure svg{display:block;width:100%;max-width:640px;margin:0 auto;height:auto}"
    ".legend{display:flex;flex-wrap:wrap;gap:2px 16px;font-size:13px;color:var(--soft);"
    "margin:0 0 8px}.legend b{color:var(--ink);font-weight:600}"
    ".legend i{display:inline-block;width:14px;height:3px;border-radius:2px;margin:0 6px 4px 0;"
    "vertical-align:middle}.legend svg{display:inline-block;width:18px;height:14px;"
    "margin:0 6px 0 0;vertical-align:-2px}"
    ".halo{paint-order:stroke;stroke:var(--card);stroke-width:3px;stroke-linejoin:round}\n",
    ".line{fill:none;stroke-width:1.8;stroke-linecap:round;stroke-linejoin:round}"
    "path.grid{stroke:var(--hair);stroke-width:1;fill:none}.axis{stroke:var(--soft);stroke-width:1;"
    "fill:none}.faint{stroke:var(--soft);stroke-width:1;opacity:.55}.tick{fill:var(--soft);font-"
    "size:12px}\n",
    ".s0{stroke:var(--c0)}.s1{stroke:var(--c1)}.s2{stroke:var(--c2)}.s3{stroke:var(--c3)}"
    ".s4{stroke:var(--c4)}.s5{stroke:var(--c5)}.b0{background:var(--c0)}.b1{background:var(--c1)}"
    ".b2{background:var(--c2)}.b3{background:var(--c3)}.b4{background:var(--c4)}"
    ".b5{background:var(--c5)}\n",
    ".bars{list-style:none;margin:0;padding:0;columns:2 380px;column-gap:40px}"
    ".bars li{display:grid;grid-template-columns:minmax(90px,13em) 1fr 3.2em;gap:10px;"
    "align-items:center;font-size:13px;line-height:21px;break-inside:avoid}"
    ".bars span{overflow:hidden;text-overflow:ellipsis;white-space:nowrap;direction:rtl;"
    "text-align:left;unicode-bidi:plaintext}"
    ".bars svg{width:100%;height:9px;border-radius:3px;display:block}.bars b{text-align:right;"
    "font-weight:500}.rest{fill:var(--rest)}.bar{fill:var(--accent)}.weak .bar{fill:var(--weak)}"
    ".weak b,.weak span{color:var(--weak)}\n",
    ".widths svg{height:11px}.widths .w{fill:var(--c0)}.widths .a{fill:var(--c1)}"
    ".bars.widths li{grid-template-columns:minmax(90px,13em) 1fr 3.6em}.widths "
    "b{white-space:nowrap}"
    "\n",
    ".stack{display:grid;gap:16px}.stack>*{min-width:0}.heat{max-width:520px}"
    ".here{fill:none;stroke:#fff;stroke-width:2}.scroll+.sub{margin-top:12px}.sub "
    "b{color:var(--ink)}"
    ".share li{grid-template-columns:minmax(90px,15em) 1fr 5.4em}.share b{white-space:nowrap}\n",
    ".scroll{overflow-x:auto;background:linear-gradient(90deg,var(--card) 40%,transparent) 0 "
    "0/48px "
    "100% no-repeat local,linear-gradient(270deg,var(--card) 40%,transparent) 100% 0/48px 100% "
    "no-repeat local,linear-gradient(90deg,var(--hair),transparent) 0 0/14px 100% no-repeat,"
    "linear-gradient(270deg,var(--hair),transparent) 100% 0/14px 100% "
    "no-repeat}table{border-collapse:collapse;width:100%;font-size:13px}"
    "th{text-align:left;font-weight:500;color:var(--soft);white-space:nowrap}"
    "th,td{padding:5px 14px 5px 0;border-bottom:1px solid var(--hair);vertical-align:top}"
    "tr:last-child td{border-bottom:0}.num{text-align:right;white-space:nowrap}"
    "th:last-child,td:last-child{padding-right:0}td{overflow-wrap:anywhere}"
    ".scroll td{overflow-wrap:normal;white-space:nowrap}.key td:first-child{color:var(--soft);"
    "width:12em;padding-right:20px}\n",
    "code{font:12.5px/1.55 ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace}"
    "pre{margin:0 0 14px;padding:10px 12px;background:var(--rest);border-radius:8px;"
    "white-space:pre-wrap;overflow-wrap:anywhere}\n",
    "summary{cursor:pointer;color:var(--accent);font-weight:500}details .scroll{margin-top:10px}\n",
    "@media(max-width:560px){main{padding:24px 14px 40px}h1{font-size:24px}.card{padding:14px}"
    ".tick{font-size:14px}.key td:first-child{width:8.5em;padding-right:12px}"
    ".scroll th,.scroll td{padding-right:8px}"
    /* each row a block: its first cell, then pairs of a column and a value */
    ".rows,.rows tbody,.rows tr{display:block}.rows thead{display:none}"
    ".rows tr{display:flex;flex-wrap:wrap;gap:2px 18px;padding:8px 0;"
    "border-bottom:1px solid var(--hair)}.rows tr:last-child{border-bottom:0}"
    ".rows td{display:flex;flex:1 1 auto;min-width:calc(50% - 9px);justify-content:flex-end;"
    "gap:10px;padding:0;border:0;white-space:normal}.rows td:first-child{flex-basis:100%;"
    "justify-content:flex-start;font-weight:600;overflow-wrap:anywhere}"
    ".rows td:empty{display:none}"
    ".rows td[data-column]::before{content:attr(data-column);color:var(--soft);"
    "margin-right:auto;text-align:left;white-space:nowrap}}\n",
    "@media print{:root{--page:#fff}body{font-size:12px}.card{break-inside:avoid}}\n"};

#endif
