--TEST--
What a call was given is what is sent, though code of the program changes it meanwhile
--EXTENSIONS--
gateway
--SKIPIF--
<?php
require "gateway.inc";
GatewayTest\skip_without_server();
?>
--INI--
gateway.session_classes=Changes
--FILE--
<?php
require 'gateway.inc';
use function GatewayTest\thrown;

/** Runs something when it is asked for its text, or at its end. */
final class Runs
{
    public function __construct(private string $text, private ?Closure $asked, private ?Closure $end = null)
    {
    }

    public function __toString(): string
    {
        $this->asked && ($this->asked)();
        return $this->text;
    }

    public function __destruct()
    {
        $this->end && ($this->end)();
    }
}

/** A string that nothing else keeps. */
function fresh(string $text): string
{
    return strrev(strrev($text));
}

/** Uses again what was freed: uids of the same lengths, which somebody else has. */
function reuse(): void
{
    $GLOBALS['garbage'] = array_map(fn () => fresh('other-uid'), range(1, 100));
}

$server = new GatewayTest\Server;
Gateway::$registerAddress = $server->register;
$tabs = [$server->connect(), $server->connect()];
[$right, $wrong] = $tabs;
Gateway::bindUid($right->id, 'right-uid');
Gateway::bindUid($wrong->id, 'other-uid');
Gateway::joinGroup($right->id, 'right-uid');
Gateway::joinGroup($wrong->id, 'other-uid');

/** What has come to the right client and to the wrong one. */
function arrived(string $what): void
{
    global $right, $wrong;
    Gateway::sendToAll('end');
    $messages = array_map(function ($tab) {
        for ($all = []; ($message = $tab->receive()) !== 'end';) {
            $all[] = $message;
        }
        return implode(' ', $all) ?: 'nothing';
    }, [$right, $wrong]);
    echo "$what: $messages[0], $messages[1]\n";
}

$change = function () use (&$x) {
    $x = null;
    reuse();
};
$handler = fn (Closure $then) => set_error_handler(function (int $level, string $message) use ($then) {
    $then();
    return true;
});

echo "-- __toString()\n";
$x = fresh('right-uid');
Gateway::sendToUid([&$x, new Runs('nobody', $change)], 'uid');
$x = fresh('right-uid');
Gateway::sendToGroup([&$x, new Runs('nobody', $change)], 'group');
$x = fresh('right-uid');
Gateway::sendToUid([&$x], new Runs('message', $change));
$x = fresh('all');
call_user_func_array('Gateway::sendToAll', [&$x, [$right->id, new Runs($right->id, $change)]]);
$x = $wrong->id;
Gateway::sendToAll('except', null, [&$x, new Runs($wrong->id, $change)]);
arrived('sent');
$x = fresh('right-uid');
$online = Gateway::isUidsOnline([&$x, new Runs('nobody', $change), 'other-uid']);
var_dump($online);
$x = fresh('right-uid');
var_dump(array_map('count', Gateway::batchGetClientIdByUid([&$x, new Runs('nobody', $change)])));

echo "-- a list that is changed while it is read\n";
$x = [new Runs('right-uid', $change), new Runs('nobody', $change), fresh('right-uid')];
call_user_func_array('Gateway::sendToUid', [&$x, 'once']);
arrived('sent');
$x = [];
for ($i = 0; $i < 100; $i++) {
    $x[] = new Runs("nobody $i", function () use (&$x) {
        array_shift($x);
        $x[] = 'other-uid';
    });
}
$x[] = fresh('right-uid');
call_user_func_array('Gateway::sendToUid', [&$x, 'shifted']);
arrived('sent');

echo "-- a handler of our own warning\n";
$handler($change);
$x = '0';
var_dump(call_user_func_array('Gateway::bindUid', [$right->id, &$x]), $x);

echo "-- a handler of PHP's deprecations\n";
$x = fresh($right->id);
call_user_func_array('Gateway::setSocketSession', [&$x, null]);
var_dump($x);
restore_error_handler();

echo "-- tokens\n";
Gateway::$tokenKey = 'a key';
$claims = fn (string $token) => json_decode(base64_decode(strtr(explode('.', $token)[1], '-_', '+/')), true);
$handler($change);
$x = fresh('right-uid');
$group = $claims(Gateway::token('user', 60, [&$x], [], null))['groups'] ?? null;
$x = fresh('right-uid');
$session = $claims(Gateway::token('user', 60, [], ['name' => &$x], null))['session'] ?? null;
$x = fresh('right-uid');
$uid = $claims(call_user_func_array('Gateway::token', [&$x, 60, [], [], null]))['sub'];
restore_error_handler();
var_dump($group, $session, $uid);

echo "-- an object that goes while it is asked\n";
$x = new Runs('right-uid', $change);
call_user_func_array('Gateway::sendToUid', [&$x, 'gone']);
$x = new Runs('right-uid', $change);
Gateway::sendToUid([&$x], 'gone from a list');
$x = new Runs('gone message', $change);
call_user_func_array('Gateway::sendToUid', ['right-uid', &$x]);
arrived('sent');

echo "-- what is thrown is what is seen, and nothing is sent after it\n";
$throws = fn () => throw new DomainException('mine');
echo thrown(fn () => Gateway::sendToUid(['right-uid', new Runs('right-uid', $throws), new Runs('x', fn () => print "not read\n")], 'm')), "\n";
$y = new Runs('right-uid', function () use (&$y) { $y = null; }, $throws);
echo thrown(function () use (&$y) {
    Gateway::sendToUid([&$y, new Runs('x', fn () => print "not read\n")], 'at its end');
}), "\n";
$handler($throws);
echo thrown(fn () => Gateway::setSocketSession($right->id, null)), "\n";
echo thrown(fn () => Gateway::token('user', 1.5)), "\n";
echo thrown(fn () => Gateway::bindUid($right->id, '')), "\n";
restore_error_handler();
spl_autoload_register($throws);
echo thrown(fn () => GatewayEvents::onSession('Missing::method')), "\n";
class Own extends Gateway
{
    public static $registerAddress = Missing::ADDRESS;
}
echo thrown(fn () => Own::sendToAll('m')), "\n";
arrived('sent');
var_dump(Gateway::lastError());

echo "-- a session that changes itself\n";
final class Changes
{
    public function __construct(private Closure $change)
    {
    }

    public function __serialize(): array
    {
        ($this->change)();
        return [];
    }
}
$x = ['value' => fresh('value')];
call_user_func_array('Gateway::setSession', [$right->id, &$x]);
$x = [fresh('value'), new Changes($change)];
call_user_func_array('Gateway::updateSession', [$right->id, &$x]);
$throwing = ['value' => new Changes($throws)];
echo thrown(fn () => Gateway::setSession($right->id, $throwing)), "\n";
$kept = Gateway::getSession($right->id);
var_dump($kept['value'], $kept[0]);

echo "-- exit within a conversion\n";
echo GatewayTest\Php::run('
    register_shutdown_function(fn () => print "the end\n");
    class Ends { public function __toString(): string { exit("exit\n"); } }
    Gateway::sendToUid(["a", new Ends], "x");
    echo "not here\n";
', ['gateway.register_address' => $server->register]);
?>
--EXPECT--
-- __toString()
sent: uid group message all except, nothing
array(3) {
  ["right-uid"]=>
  int(1)
  ["nobody"]=>
  int(0)
  ["other-uid"]=>
  int(1)
}
array(2) {
  ["right-uid"]=>
  int(1)
  ["nobody"]=>
  int(0)
}
-- a list that is changed while it is read
sent: once once, nothing
sent: shifted, nothing
-- a handler of our own warning
NULL
NULL
-- a handler of PHP's deprecations
NULL
-- tokens
array(1) {
  [0]=>
  string(9) "right-uid"
}
array(1) {
  ["name"]=>
  string(9) "right-uid"
}
string(9) "right-uid"
-- an object that goes while it is asked
sent: gone gone from a list gone message, nothing
-- what is thrown is what is seen, and nothing is sent after it
DomainException: mine
DomainException: mine
DomainException: mine
DomainException: mine
DomainException: mine
DomainException: mine
DomainException: mine
sent: nothing, nothing
string(92) "the uid is empty, so nothing was bound; give a uid that is not '', '0', 0, null, false or []"
-- a session that changes itself
DomainException: mine
string(5) "value"
string(5) "value"
-- exit within a conversion
exit
the end
