import WebSocket from "ws"; import {readFileSync, writeFileSync} from "node:fs";
const sleep=(ms)=>new Promise(r=>setTimeout(r,ms));
async function profile(port, build, out, secs){
  for(;;){ try{ await fetch(`http://127.0.0.1:${port}/json`); break;}catch{ await sleep(300);} }
  let list = await (await fetch(`http://127.0.0.1:${port}/json`)).json();
  while(!list.length){ await sleep(500); list=await (await fetch(`http://127.0.0.1:${port}/json`)).json(); }
  const ws=new WebSocket(list[0].webSocketDebuggerUrl ?? `ws://127.0.0.1:${port}/main`);
  await new Promise((r,j)=>{ws.on("open",r);ws.on("error",j)});
  let n=0; const wait=new Map(); ws.on("message",d=>{const m=JSON.parse(d); if(m.id)wait.get(m.id)?.(m);});
  const call=(method,params={})=>new Promise(r=>{const id=++n; wait.set(id,r); ws.send(JSON.stringify({id,method,params}));});
  await call("Profiler.enable"); await call("Profiler.setSamplingInterval",{interval:100});
  await sleep(secs.wait*1000);
  await call("Profiler.start"); await sleep(secs.run*1000); const r=await call("Profiler.stop");
  writeFileSync(out, JSON.stringify(r.result.profile)); console.log(port,"done");
  ws.close();
}
const [w,r]=process.argv.slice(2).map(Number);
await Promise.all([profile(9301,"build","/tmp/h/p-now.json",{wait:w,run:r}),profile(9302,"x","/tmp/h/p-before.json",{wait:w,run:r})]).catch(e=>console.log(e));
process.exit(0);
