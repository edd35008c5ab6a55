<?php
// The front controller: every path that is no file of its own comes here.
declare(strict_types=1);

$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);

switch (true) {
case $path === '/':
    page('A site in PHP', '<p>Two workers of PHP-FPM, kept by weir.</p><p><a href="/visits">Visits</a> <a href="/hello/you">Hello</a> <a href="/time">Time</a></p>');
    break;
case $path === '/healthz':
    header('Content-Type: text/plain');
    header('Cache-Control: no-store');
    echo "well\n";
    break;
case preg_match('~^/hello/([^/]+)$~', $path, $m) === 1:
    page('Hello', '<p>Hello, ' . htmlspecialchars(rawurldecode($m[1])) . '!</p>');
    break;
case $path === '/time':
    // One page for all, for a second: weir's cache holds it.
    header('Cache-Control: max-age=1');
    page('Time', '<p id="time">' . date('c') . '</p>');
    break;
case $path === '/visits':
    session_name('visitor');
    session_start();
    $_SESSION['visits'] = ($_SESSION['visits'] ?? 0) + 1;
    page('Visits', '<p>Your visit number <b id="visits">' . $_SESSION['visits'] . '</b>.</p>');
    break;
case $path === '/upload' && $_SERVER['REQUEST_METHOD'] === 'POST':
    header('Content-Type: text/plain');
    echo hash('sha256', file_get_contents('php://input')), ' ', $_SERVER['CONTENT_LENGTH'], "\n";
    break;
case $path === '/broken':
    error_log('this page is broken on purpose');
    throw new RuntimeException('broken');
default:
    http_response_code(404);
    page('Not here', '<p>There is no such page.</p>');
}

function page(string $title, string $body): void
{
    header('Content-Type: text/html; charset=utf-8');
    echo "<!DOCTYPE html>\n<html lang=\"en\"><head><title>$title</title><link rel=\"stylesheet\" href=\"/style.css\"></head>\n",
        "<body><h1>$title</h1>$body</body></html>\n";
}
