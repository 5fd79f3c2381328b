--TEST--
php.ini sets the properties' defaults, phpinfo() tells no secret
--EXTENSIONS--
gateway
--FILE--
<?php
require 'gateway.inc';
use GatewayTest\Php;

echo "-- defaults\n";
echo Php::run('var_dump(Gateway::$registerAddress, Gateway::$secretKey, Gateway::$tokenKey, Gateway::$connectTimeout);', [
    'gateway.register_address' => 'unix:///run/gateway.sock',
    'gateway.secret_key' => 'hunter2',
    'gateway.token_key' => 'hunter3',
    'gateway.connect_timeout' => '0.5',
]);
echo "-- set where the server is configured, not by programs\n";
var_dump(ini_set('gateway.register_address', '127.0.0.1:1'), ini_set('gateway.secret_key', 'x'), ini_set('gateway.token_key', 'x'));
var_dump(ini_set('gateway.aliases', '0'), ini_set('gateway.flush_timeout', '2'));

echo "-- bad values\n";
echo Php::run('var_dump(Gateway::$connectTimeout);', [
    'gateway.connect_timeout' => 'soon',
    'gateway.flush_timeout' => '-1',
    'gateway.buffer_bytes' => '16X',
    'gateway.protocol' => 'http',
    'gateway.aliases' => '"My-Gateway"',
]);

echo "-- bad values of a program\n";
var_dump(ini_set('gateway.flush_timeout', 'soon'), ini_get('gateway.flush_timeout'));
var_dump(ini_set('gateway.on_error', "sil\0ent"), ini_get('gateway.on_error'));
var_dump(ini_set('gateway.on_error', 'Silent'), ini_get('gateway.on_error'));
set_error_handler(function (int $level, string $text): bool {
    throw new ErrorException($text);
});
try {
    ini_set('gateway.flush_timeout', '-1');
} catch (ErrorException $error) {
    echo $error->getMessage(), "\n";
}
restore_error_handler();
ini_restore('gateway.on_error');
var_dump(ini_get('gateway.on_error'), ini_get('gateway.flush_timeout'));

echo "-- switches\n";
preg_match_all('/^gateway\.aliases.*/m', Php::run('phpinfo(INFO_MODULES);', ['gateway.aliases' => '0']) . "\n"
    . Php::run('phpinfo(INFO_MODULES);', ['gateway.aliases' => 'Push']), $lines);
echo implode("\n", $lines[0]), "\n";

echo "-- phpinfo\n";
$info = Php::run('phpinfo(INFO_MODULES);', ['gateway.secret_key' => 'hunter2', 'gateway.token_key' => 'hunter3']);
var_dump(str_contains($info, 'hunter'));
preg_match('/^gateway support.*?^gateway\.token_key[^\n]*/ms', $info, $section);
echo $section[0], "\n";
preg_match_all('/^gateway\.(?:secret|token)_key.*/m', Php::run('phpinfo(INFO_MODULES);'), $lines);
echo implode("\n", $lines[0]), "\n";

?>
--EXPECTF--
-- defaults
string(24) "unix:///run/gateway.sock"
string(7) "hunter2"
string(7) "hunter3"
float(0.5)
-- set where the server is configured, not by programs
bool(false)
bool(false)
bool(false)
bool(false)
string(1) "1"
-- bad values

Warning: PHP Startup: gateway.connect_timeout is "soon", but must be a number of seconds above 0; the default is used in Unknown on line 0

Warning: PHP Startup: gateway.aliases is "My-Gateway", but must be 0, 1, or names of classes, and eager to declare them when PHP starts: "My-Gateway" is no name of a class; the default is used in Unknown on line 0

Warning: PHP Startup: gateway.flush_timeout is "-1", but must be a number of seconds; the default is used in Unknown on line 0

Warning: PHP Startup: gateway.buffer_bytes is "16X", but must be a number of bytes above 0, such as 16777216 or 16M; the default is used in Unknown on line 0

Warning: PHP Startup: gateway.protocol is "http", but must be auto, bridge or gatewayworker; the default is used in Unknown on line 0
int(3)
-- bad values of a program

Warning: ini_set(): gateway.flush_timeout is "soon", but must be a number of seconds; it stays as it was in %s on line %d
bool(false)
string(1) "2"

Warning: ini_set(): gateway.on_error is "sil\0ent", but must be exception, warning or silent; it stays as it was in %s on line %d
bool(false)
string(9) "exception"
string(9) "exception"
string(6) "Silent"
ini_set(): gateway.flush_timeout is "-1", but must be a number of seconds; it stays as it was
string(9) "exception"
string(1) "2"
-- switches
gateway.aliases => Off => Off
gateway.aliases => Push => Push
-- phpinfo
bool(false)
gateway support => enabled
Version => 0.2.0
Bridge version => 2

Directive => Local Value => Master Value
gateway.aliases => On => On
gateway.buffer_bytes => 16M => 16M
gateway.connect_timeout => 3 => 3
gateway.flush_timeout => 1 => 1
gateway.on_error => exception => exception
gateway.protocol => auto => auto
gateway.register_address => 127.0.0.1:1236 => 127.0.0.1:1236
gateway.secret_key => set => set
gateway.session_classes => no value => no value
gateway.tls_ca => no value => no value
gateway.tls_certificate => no value => no value
gateway.tls_key => no value => no value
gateway.token_key => set => set
gateway.secret_key => not set => not set
gateway.token_key => not set => not set
