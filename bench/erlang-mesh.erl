%% The same work as troupe-mesh.ts on Erlang/OTP: the nodes are peers, steered over their standard input and output, so
%% that this node is none of them. Moments are readings of the one clock of the machine.
%%
%%   erl -noshell -run erlang-mesh main WORKLOAD SIZE      prints {"ms": …} or {"us": …}; erlang-mesh.ts compiles it first
-module('erlang-mesh').
-export([main/1, complete/1, watch_down/1, watcher/0, joins/1, registers/1]).

-define(JOINS, 200).
-define(NAMES, 200).

main([WorkloadText, SizeText]) ->
    Workload = list_to_atom(WorkloadText),
    Size = list_to_integer(SizeText),
    Peers = start(Size),
    Result = run(Workload, Peers),
    io:format("~s~n", [Result]),
    [catch peer:stop(P) || {P, _} <- Peers],
    erlang:halt(0).

now_us() -> os:system_time(microsecond).

start(Size) ->
    {Mod, Bin, File} = code:get_object_code(?MODULE),
    Cookie = "troupe-bench",
    Start = fun(I) ->
        {ok, P, N} = peer:start(#{
            name => "n" ++ integer_to_list(I), host => "127.0.0.1", longnames => true,
            connection => standard_io, args => ["-setcookie", Cookie, "-kernel", "prevent_overlapping_partitions", "false"]}),
        {module, Mod} = peer:call(P, code, load_binary, [Mod, File, Bin]),
        {P, N}
    end,
    [Start(I) || I <- lists:seq(0, Size - 1)].

%% All are up and know nobody; all but the first are told of the first at once.
form([{_, First} | Rest] = Peers) ->
    Self = self(),
    Size = length(Peers),
    Begin = now_us(),
    [spawn_link(fun() -> peer:cast(P, net_adm, ping, [First]) end) || {P, _} <- Rest],
    [spawn_link(fun() -> Self ! {complete, peer:call(P, ?MODULE, complete, [Size - 1], 60000)} end) || {P, _} <- Peers],
    Ends = [receive {complete, At} -> At end || _ <- Peers],
    (lists:max(Ends) - Begin) / 1000.

complete(Others) ->
    ok = net_kernel:monitor_nodes(true),
    complete_loop(Others).

complete_loop(Others) ->
    case length(nodes()) of
        Others -> net_kernel:monitor_nodes(false), now_us();
        _ -> receive {nodeup, _} -> complete_loop(Others) after 1000 -> complete_loop(Others) end
    end.

watch_down(Node) ->
    true = erlang:monitor_node(Node, true),
    receive {nodedown, Node} -> now_us() end.

run(form, Peers) -> io_lib:format("{\"ms\":~.3f}", [form(Peers)]);
run(kill, Peers) ->
    form(Peers),
    {Victim, VictimNode} = lists:last(Peers),
    Pid = peer:call(Victim, os, getpid, []),
    Self = self(),
    Others = lists:droplast(Peers),
    [spawn_link(fun() -> Self ! {down, peer:call(P, ?MODULE, watch_down, [VictimNode], 60000)} end) || {P, _} <- Others],
    timer:sleep(500),
    Begin = now_us(),
    os:cmd("kill -9 " ++ Pid),
    Ends = [receive {down, At} -> At end || _ <- Others],
    io_lib:format("{\"ms\":~.3f}", [(lists:max(Ends) - Begin) / 1000]);
run(join, Peers) ->
    form(Peers),
    [{ok, _} = peer:call(P, pg, start, [pg]) || {P, _} <- Peers],
    [peer:call(P, erlang, spawn, [?MODULE, watcher, []]) || {P, _} <- Peers],
    timer:sleep(500),
    [{First, _} | _] = Peers,
    io_lib:format("{\"us\":~.3f}", [peer:call(First, ?MODULE, joins, [length(Peers)], 60000)]);
run(register, Peers) ->
    form(Peers),
    timer:sleep(500),
    [{First, _} | _] = Peers,
    io_lib:format("{\"us\":~.3f}", [peer:call(First, ?MODULE, registers, [?NAMES], 60000)]).

%% Tells everybody who joins that it has seen it.
watcher() ->
    {_, _} = pg:monitor(pg, team),
    watcher_loop().

watcher_loop() ->
    receive
        {_, join, team, Pids} -> [Pid ! seen || Pid <- Pids], watcher_loop();
        _ -> watcher_loop()
    end.

joins(Size) ->
    Took = [begin
        Begin = now_us(),
        ok = pg:join(pg, team, self()),
        [receive seen -> ok end || _ <- lists:seq(1, Size)],
        End = now_us(),
        ok = pg:leave(pg, team, self()),
        End - Begin
    end || _ <- lists:seq(1, ?JOINS)],
    median(Took).

registers(Count) ->
    Took = [begin
        Pid = spawn(fun() -> receive never -> ok end end),
        Begin = now_us(),
        yes = global:register_name({name, I}, Pid),
        now_us() - Begin
    end || I <- lists:seq(1, Count)],
    median(Took).

median(List) -> float(lists:nth(length(List) div 2 + 1, lists:sort(List))).
