@echo off
rem SPDX-License-Identifier: LGPL-3.0-or-later
rem
rem first_run.cmd           the first things to try on a machine with the real driver, in a terminal run as administrator
rem first_run.cmd all       also those that change the firewall for a moment (exported before, imported again after)
rem first_run.cmd STEP...   these alone
rem
rem A line for each: ok, FAIL or skip. What each has left is in the folder "first-run" below the current one; the last
rem step writes report.txt and report.json there, which tell nothing of you. docs\first-windows-run.md explains each.
rem FETCH and URL, if set, take the place of curl and of Windows' own test page.
setlocal
set "here=%~dp0"
set "redirector=%here%bin\redirector.exe"
if exist "%here%redirector.exe" set "redirector=%here%redirector.exe"
set "out=%CD%\first-run"
if not exist "%out%" mkdir "%out%"
if not defined FETCH set "FETCH=curl.exe --silent --show-error --output NUL --max-time 30"
if not defined URL set "URL=http://www.msftconnecttest.com/connecttest.txt"
set passed=0
set failed=0
set skipped=0

set "steps=version doctor direct run tree two bash node browser iis report"
if not "%~1"=="" set "steps=%*"
if "%~1"=="all" set "steps=version doctor direct run tree two bash node browser iis block busy report"
for %%s in (%steps%) do call :%%s
echo %passed% passed, %failed% failed, %skipped% skipped
if not %failed%==0 exit /b 1
exit /b 0

:version
"%redirector%" --version > "%out%\version.txt" 2>&1
call :verdict version %ERRORLEVEL%
exit /b 0

:doctor
"%redirector%" doctor > "%out%\doctor.txt" 2>&1
call :verdict doctor %ERRORLEVEL%
exit /b 0

:direct
%FETCH% %URL% > "%out%\direct.txt" 2>&1
call :verdict direct %ERRORLEVEL%
exit /b 0

:run
set name=run
call :redirected %FETCH% %URL%
exit /b 0

:tree
set name=tree
call :redirected cmd /c cmd /c cmd /c %FETCH% %URL%
exit /b 0

rem Two at once: the second runs beside the first, and each tells of its own program.
:two
if exist "%out%\beside.json" del "%out%\beside.json"
> "%out%\beside.cmd" echo @"%redirector%" run --json --log "%out%\beside.log" -- %FETCH% %URL% ^> "%out%\beside.out" 2^> "%out%\beside.json"
start "" /b cmd /c ""%out%\beside.cmd""
set name=two
call :redirected %FETCH% %URL%
set tries=0
:two_wait
findstr summary "%out%\beside.json" > NUL 2>&1
if not errorlevel 1 goto two_there
set /a tries=tries+1
if %tries% geq 60 goto two_there
ping -n 2 127.0.0.1 > NUL
goto two_wait
:two_there
findstr closed "%out%\beside.json" > NUL 2>&1
call :verdict beside %ERRORLEVEL%
exit /b 0

rem Git Bash: its runtime starts each program outside of the job, if the job lets it.
:bash
set "bash=%ProgramFiles%\Git\bin\bash.exe"
if not exist "%bash%" goto no_bash
set name=bash
call :redirected "%bash%" -c "bash -c 'exec bash -c \"%FETCH% %URL%\"'"
exit /b 0
:no_bash
call :skip bash "Git for Windows is not there"
exit /b 0

:node
set "node="
for %%i in (node.exe) do set "node=%%~$PATH:i"
if "%node%"=="" goto no_node
set name=node
call :redirected node -e "require('child_process').execSync(process.argv[1])" "%FETCH% %URL%"
exit /b 0
:no_node
call :skip node "node is not there"
exit /b 0

:browser
set "browser=%ProgramFiles(x86)%\Microsoft\Edge\Application\msedge.exe"
if not exist "%browser%" goto no_browser
set name=browser
call :redirected "%browser%" --headless --disable-gpu "--user-data-dir=%out%\profile" --dump-dom %URL%
exit /b 0
:no_browser
call :skip browser "Edge is not there"
exit /b 0

rem http.sys listens for IIS Express: the port has to be named.
:iis
set "iis=%ProgramFiles%\IIS Express\iisexpress.exe"
if not exist "%iis%" goto no_iis
> "%out%\iis.cmd" echo @"%redirector%" run --json --incoming --listen-port 8099 --log "%out%\iis.log" -- "%iis%" "/path:%out%" /port:8099 ^> "%out%\iis.out" 2^> "%out%\iis.json"
start "" /b cmd /c ""%out%\iis.cmd""
ping -n 6 127.0.0.1 > NUL
curl.exe --silent --output NUL --max-time 30 http://localhost:8099/version.txt
taskkill /im iisexpress.exe /f > NUL 2>&1
ping -n 3 127.0.0.1 > NUL
findstr /c:"direction\":\"in" "%out%\iis.json" > NUL
call :verdict iis %ERRORLEVEL%
exit /b 0
:no_iis
call :skip iis "IIS Express is not there"
exit /b 0

rem Outbound blocked by default, the program itself allowed: what redirector puts back must pass.
:block
netsh advfirewall export "%out%\firewall.wfw" > NUL
if errorlevel 1 goto no_block
netsh advfirewall firewall add rule name="redirector first run" dir=out action=allow "program=%redirector%" > NUL
netsh advfirewall set allprofiles firewallpolicy blockinbound,blockoutbound > NUL
set name=block
call :redirected %FETCH% %URL%
netsh advfirewall import "%out%\firewall.wfw" > NUL
exit /b 0
:no_block
call :skip block "the firewall's settings cannot be exported"
exit /b 0

rem The filtering platform is kept busy by rules that come and go, while connections make the driver's filter change.
:busy
netsh advfirewall export "%out%\firewall.wfw" > NUL
if errorlevel 1 goto no_busy
start "" /b cmd /c "for /l %%i in (1,1,300) do @netsh advfirewall firewall add rule name=redirector_busy dir=in action=block protocol=TCP localport=1 >NUL"
"%redirector%" bench --json > "%out%\busy.json" 2>&1
call :verdict busy %ERRORLEVEL%
netsh advfirewall import "%out%\firewall.wfw" > NUL
exit /b 0
:no_busy
call :skip busy "the firewall's settings cannot be exported"
exit /b 0

:report
if exist "%out%\report.json" del "%out%\report.json"
"%redirector%" doctor --report "%out%\report" > NUL 2>&1
if not exist "%out%\report.json" goto no_report
call :verdict report 0
exit /b 0
:no_report
call :verdict report 1
exit /b 0

rem :redirected PROGRAM ARGUMENTS...: it must end well, and a connection of its must have gone through the relay
:redirected
"%redirector%" run --json --log "%out%\%name%.log" -- %* > "%out%\%name%.out" 2> "%out%\%name%.json"
if errorlevel 1 goto went_wrong
findstr closed "%out%\%name%.json" > NUL
call :verdict %name% %ERRORLEVEL%
exit /b 0
:went_wrong
call :verdict %name% 1
exit /b 0

:verdict
if not "%~2"=="0" goto wrong
echo ok %~1
set /a passed=passed+1
exit /b 0
:wrong
echo FAIL %~1: see %out%\%~1.*
set /a failed=failed+1
exit /b 0

:skip
echo skip %~1: %~2
set /a skipped=skipped+1
exit /b 0
