# Protocol::WebSocket: sends back what comes until "bye", pings, closes.
use strict;
use warnings;

use IO::Socket::INET;
use Protocol::WebSocket::Frame;
use Protocol::WebSocket::Handshake::Client;

my $url = shift;
my ($address) = $url =~ m{^ws://([^/]+)};
my $socket = IO::Socket::INET->new(PeerAddr => $address) or die "connect: $!";
my $handshake = Protocol::WebSocket::Handshake::Client->new(url => $url);
my $answer = '';
my $frames = Protocol::WebSocket::Frame->new(max_payload_size => 1 << 24);

sub put {
    my $bytes = shift;
    my $done = 0;
    while ($done < length $bytes) {
        $done += syswrite($socket, $bytes, length($bytes) - $done, $done) // die "write: $!";
    }
}

sub say_frame {
    my ($type, $data) = @_;
    put(Protocol::WebSocket::Frame->new(buffer => $data, type => $type, masked => 1, max_payload_size => 1 << 24)->to_bytes);
}

put($handshake->to_string);
while (sysread $socket, my $bytes, 65536) {
    if (!$handshake->is_done) {
        # It counts frames that are read with the answer as a part of it, and refuses more than 2 KiB.
        $answer .= $bytes;
        $answer =~ s/^(.*?\r\n\r\n)//s or next;
        $handshake->parse(my $head = $1) or die $handshake->error;
        $bytes = $answer;
    }
    $frames->append($bytes);
    while (defined(my $data = $frames->next_bytes)) {
        if ($frames->is_close) {
            print 'closed ', unpack('n', $data), "\n";
            exit;
        } elsif ($frames->is_ping) {
            say_frame('pong', $data);
        } elsif ($frames->is_pong) {
            say_frame('close', pack 'n', 1000);
        } elsif ($data eq 'bye') {
            say_frame('ping', 'are you there');
        } else {
            say_frame($frames->is_binary ? 'binary' : 'text', $data);
        }
    }
}
die 'the end without a close frame';
